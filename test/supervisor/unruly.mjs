// A service for the tests of the supervisor: does what its label says.
const [, , what] = process.argv;
process.on('message', () => {});
process.on('disconnect', () => process.exit(0));
if (what === 'never-ready') setInterval(() => {}, 1_000);
else if (what === 'exit-at-once') process.exit(3);
else if (what === 'says-why') {
  process.send({ failed: 'the database is not readable' }, () => process.exit(1));
} else {
  process.send({ ready: true });
  if (what === 'deaf') process.on('SIGTERM', () => {});
  else process.on('SIGTERM', () => process.exit(0));
  if (what === 'short-lived') setTimeout(() => process.exit(1), 20);
}
