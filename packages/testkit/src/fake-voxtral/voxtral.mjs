#!/usr/bin/env node
// Stands in for the `voxtral` program of antirez/voxtral.c: same arguments, same habits on its input and output, same
// exit codes. It understands coded speech (see coded-words.mjs) instead of a voice. FAKE_VOXTRAL, a JSON object, makes
// it misbehave: fake-voxtral.ts has all options. All reads and writes block, as those of the program do.
import { appendFileSync, existsSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { CodedWords } from './coded-words.mjs';

const FIRST_READ_BYTES = 4_096;
const READ_BYTES = 8_192;
const SAMPLE_RATE = 16_000;
const BYTES_PER_SECOND = SAMPLE_RATE * 2;
/** A stand-in forgotten by a crashed test run goes away by itself. */
const LONGEST_HANG_MS = 60_000;
const NOISE = ['\u001b[2K\r', '\u001b[1;32m', '\u0007\u0000', '\u001b]0;voxtral\u0007'];

const options = JSON.parse(process.env.FAKE_VOXTRAL ?? '{}');
const mode = options.mode ?? 'normal';

function sleep(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function complain(line) {
  writeSync(2, `${line}\n`);
}

function die(line) {
  complain(line);
  process.exit(1);
}

function hang() {
  sleep(LONGEST_HANG_MS);
  process.exit(1);
}

function usage() {
  complain('Usage: voxtral -d <model_dir> (-i <input.wav> | --stdin | --from-mic) [options]');
}

function readArguments(args) {
  const found = { modelDir: undefined, stdin: false, silent: false, intervalS: 2 };
  for (let at = 0; at < args.length; at += 1) {
    if (args[at] === '-d' && at + 1 < args.length) found.modelDir = args[++at];
    else if (args[at] === '-I' && at + 1 < args.length) found.intervalS = Number(args[++at]);
    else if (args[at] === '--stdin') found.stdin = true;
    else if (args[at] === '--silent') found.silent = true;
    else if (args[at] === '-h') {
      usage();
      process.exit(0);
    } else {
      complain(`Unknown option: ${args[at]}`);
      usage();
      process.exit(1);
    }
  }
  if (!(found.intervalS > 0)) die('Error: -I requires a positive number of seconds');
  if (found.modelDir === undefined || !found.stdin) {
    usage();
    process.exit(1);
  }
  return found;
}

/** Blocks for all of `bytes`; gives less only at the end of the input. */
function readFully(bytes) {
  const buffer = Buffer.alloc(bytes);
  let filled = 0;
  while (filled < bytes) {
    const count = readSync(0, buffer, filled, bytes - filled, null);
    if (count === 0) break;
    filled += count;
  }
  return buffer.subarray(0, filled);
}

/** Prints all, however small the pieces that the pipe takes. */
function print(bytes) {
  for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
}

let printedWords = 0;

function printWord(value) {
  crashAt(options.afterWords, printedWords);
  const separator = mode === 'newline' ? '\n' : ' ';
  const word = Buffer.from(`${separator}${options.prefix ?? 'w'}${value}`);
  // The space in front of the very first token is left out.
  const bytes = printedWords === 0 ? word.subarray(1) : word;
  printedWords += 1;
  if (mode === 'garbage') print(Buffer.from(NOISE[printedWords % NOISE.length]));
  if (printedWords % 3 !== 0) print(bytes);
  else {
    // Tokens end anywhere, within characters too.
    print(bytes.subarray(0, 2));
    print(bytes.subarray(2));
  }
  if (mode === 'garbage') print(Buffer.from([0xff, 0xc3, 0xfe]));
}

/** Dies in the middle of its work, where a state file is named only if no other one did before. */
function crashAt(limit, reached) {
  if (mode !== 'crash' || limit === undefined || reached < limit) return;
  if (options.stateFile !== undefined) {
    if (existsSync(options.stateFile)) return;
    writeFileSync(options.stateFile, String(process.pid));
  }
  if (options.exitCode === undefined) process.kill(process.pid, 'SIGKILL');
  complain('fatal: out of memory');
  process.exit(options.exitCode);
}

function flood() {
  const noise = Buffer.from('lorem ipsum '.repeat(500));
  for (;;) print(noise);
}

/** The samples of PCM16, 16 kHz, mono; anything else ends the program as the original does. */
function pcmOfWav(wav) {
  const isRight =
    wav.length >= 44 &&
    wav.toString('latin1', 8, 16) === 'WAVEfmt ' &&
    wav.readUInt16LE(20) === 1 &&
    wav.readUInt16LE(22) === 1 &&
    wav.readUInt32LE(24) === SAMPLE_RATE &&
    wav.readUInt16LE(34) === 16;
  const data = wav.indexOf('data', 12, 'latin1');
  if (!isRight || data === -1) die('Invalid WAV data on stdin');
  return wav.subarray(data + 8, data + 8 + wav.readUInt32LE(data + 4));
}

function main() {
  if (mode === 'ignore-sigterm') process.on('SIGTERM', () => {});
  const args = process.argv.slice(2);
  const { modelDir, silent, intervalS } = readArguments(args);
  const { recordDir } = options;
  const record = (name, bytes) => {
    if (recordDir !== undefined) appendFileSync(join(recordDir, `${process.pid}.${name}`), bytes);
  };
  record('args', JSON.stringify(args));
  if (!existsSync(join(modelDir, 'consolidated.safetensors'))) {
    complain(`Error: cannot open ${join(modelDir, 'consolidated.safetensors')}`);
    die(`Failed to load model from ${modelDir}`);
  }
  sleep(options.loadMs ?? 0);
  if (!silent) complain('Model loaded.');
  if (mode === 'hang') hang();
  if (mode === 'flood') flood();

  const words = new CodedWords({
    batchSamples: Math.round(intervalS * SAMPLE_RATE),
    ...(mode === 'internal-reset' ? { resetAfterS: options.resetAfterS ?? 157 } : {}),
    onWord: mode === 'silent' ? () => {} : printWord,
  });
  let heardBytes = 0;
  const hear = (pcm) => {
    heardBytes += pcm.length;
    crashAt(options.afterBytes, heardBytes);
    if (mode === 'slow') sleep((pcm.length / BYTES_PER_SECOND) * (options.msPerSecond ?? 100));
    words.hear(pcm);
  };

  let block = readFully(FIRST_READ_BYTES);
  record('pcm', block);
  if (block.length < 4) die('Not enough data on stdin');
  if (block.toString('latin1', 0, 4) === 'RIFF') {
    const parts = [block];
    while (block.length > 0) {
      block = readFully(READ_BYTES);
      parts.push(block);
    }
    hear(pcmOfWav(Buffer.concat(parts)));
  } else {
    while (block.length > 0) {
      hear(block);
      block = readFully(READ_BYTES);
      record('pcm', block);
    }
  }
  words.end();
  print(Buffer.from('\n'));
  if (mode === 'ignore-sigterm') hang();
  if (mode === 'exit-nonzero-at-eof') process.exit(1);
  process.exit(0);
}

main();
