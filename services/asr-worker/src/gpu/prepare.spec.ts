import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseEnv } from '@voice-fleet/runtime/env';
import type { Ended } from './foreground.ts';
import { LaunchEnv } from './launch-env.ts';
import { prepareModel } from './prepare.ts';

const DONE: Ended = { kind: 'ended', exitCode: 0 };
const MISSING: Ended = { kind: 'missing', why: 'ENOENT' };
let root = '';
let modelDir = '';
let told: string[] = [];
let commands: string[][] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'voice-fleet-prepare-'));
  modelDir = join(root, 'model');
  told = [];
  commands = [];
});
afterEach(() => rmSync(root, { recursive: true }));

function put(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const name of ['params.json', 'tekken.json', 'consolidated.safetensors'])
    writeFileSync(join(folder, name), '{}');
}

async function prepare(env: Record<string, string>, answers: (() => Ended)[]): Promise<void> {
  const config = parseEnv(LaunchEnv, { VOXTRAL_MODEL_DIR: modelDir, ...env });
  await prepareModel(config, {
    download: (command) => {
      commands.push([...command]);
      const answer = answers.shift();
      return answer ? Promise.resolve(answer()) : Promise.reject(new Error('not expected'));
    },
    tell: (event) => told.push(event),
  });
}

const delay = (): unknown =>
  (JSON.parse(readFileSync(join(modelDir, 'tekken.json'), 'utf8')) as Record<string, unknown>)[
    'transcription_delay_ms'
  ];

describe('Y44: preparing the model', () => {
  it('downloads nothing where it is ready, and sets the delay once', async () => {
    put(modelDir);
    await prepare({}, []);
    expect(delay()).toBe(400);
    await prepare({}, []);
    expect(told).toEqual(['delay_written']);
  });

  it('downloads it first where it is not there', async () => {
    const bring = () => {
      put(modelDir);
      return DONE;
    };
    await prepare({ VOXTRAL_TRANSCRIPTION_DELAY_MS: '960', VOXTRAL_MODEL_REVISION: 'v1' }, [bring]);
    expect(commands).toEqual([expect.arrayContaining(['hf', '--revision', 'v1', modelDir])]);
    expect(delay()).toBe(960);
    expect(told).toEqual(['download', 'delay_written']);
  });

  it('takes python where there is no hf, and says so where there is neither', async () => {
    await expect(prepare({}, [() => MISSING, () => MISSING])).rejects.toThrow('hf and python3');
    expect(commands.map(([name]) => name)).toEqual(['hf', 'python3']);
  });

  it('does not go on after a download that failed', async () => {
    const failed = (): Ended => ({ kind: 'ended', exitCode: 3 });
    await expect(prepare({}, [failed])).rejects.toThrow(/exit code 3.*HF_TOKEN/);
    expect(commands).toHaveLength(1);
  });

  it('does not go on after a download that brought something else', async () => {
    await expect(prepare({}, [() => DONE])).rejects.toThrow('still lacks params.json');
  });
});

describe('preparing the model from a snapshot that is not written to', () => {
  it('links it and sets the delay in a copy', async () => {
    const snapshot = join(root, 'snapshot');
    put(snapshot);
    await prepare({ VOXTRAL_SNAPSHOT_DIR: snapshot }, []);
    expect(delay()).toBe(400);
    expect(readFileSync(join(snapshot, 'tekken.json'), 'utf8')).toBe('{}');
    expect(readFileSync(join(modelDir, 'params.json'), 'utf8')).toBe('{}');
    await prepare({ VOXTRAL_SNAPSHOT_DIR: snapshot }, []);
    expect(told).toEqual(['delay_written']);
  });

  it('downloads nothing into it', async () => {
    mkdirSync(join(root, 'snapshot'));
    await expect(prepare({ VOXTRAL_SNAPSHOT_DIR: join(root, 'snapshot') }, [])).rejects.toThrow(
      'lacks params.json',
    );
    expect(commands).toEqual([]);
  });
});
