#!/usr/bin/env node
/** The command line: reads the arguments, runs one command, and sets the exit code. */
import { commands, topics } from './command-table.ts';
import { exitCodes } from './output.ts';
import { runCommandLine } from './program.ts';

// Whoever read what goes to stderr went away; that is no reason to stop.
process.stderr.on('error', () => {});
const exitCode = await runCommandLine(process.argv, commands, topics);
// What an interrupted command was waiting for must not hold it back.
if (exitCode === exitCodes.interrupted) process.exit(exitCode);
process.exitCode = exitCode;
