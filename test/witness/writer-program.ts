/**
 * A witness in a process of its own: appends the messages 1 to `last` to the file in batches, and prints the last number
 * of each batch once it is stored. Arguments: path, last, batch size.
 */
import { WitnessDatabase } from '../../src/witness/database.ts';
import { actorMessages, actors, never } from './messages.ts';

const [path = '', last = '0', size = '1'] = process.argv.slice(2);
const witness = WitnessDatabase.open(path);
for (let first = 1; first <= Number(last); first += Number(size)) {
  const messages = actorMessages(first, Math.min(Number(last), first + Number(size) - 1));
  const result = witness.appendBatch(actors, messages, never);
  process.stdout.write(`${result.last_seq}\n`);
}
witness.close();
