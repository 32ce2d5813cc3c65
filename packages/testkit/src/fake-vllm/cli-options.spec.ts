import { describe, expect, it } from '@jest/globals';
import { HELP, readCliOptions } from './cli-options.ts';
import { Faults, type UtteranceFault } from './faults.ts';

/** What the flags do to a server. */
function armed(...flags: string[]): unknown[] {
  const effects: unknown[] = [];
  const faults = new Faults({
    strike: (fault: UtteranceFault) => void effects.push(fault),
    setHung: (isHung) => void effects.push({ isHung }),
    setSlowFactor: (factor) => void effects.push({ factor }),
  });
  readCliOptions(flags.flatMap((flag) => ['--fault', flag]))?.arm(faults);
  for (let nth = 0; nth < 2; nth += 1)
    effects.push(...faults.claimForConnection(), ...faults.claimForUtterance());
  return effects;
}

describe('readCliOptions', () => {
  it('fills in the options of the server', () => {
    const flags =
      '--host ::1 --port 0 --model m --api-key a --api-key b --delay-ms 960 --step-ms 1.5 --per-sequence-ms 0.1 --max-num-seqs 4 --max-model-len 1024 --kv-pool-mib 99 --json';
    expect(readCliOptions(flags.split(' '))).toMatchObject({
      server: {
        host: '::1',
        port: 0,
        models: ['m'],
        apiKeys: ['a', 'b'],
        delayMs: 960,
        baseMs: 1.5,
        perSequenceMs: 0.1,
        maxNumSeqs: 4,
        maxModelLen: 1024,
        kvPoolMib: 99,
      },
      json: true,
    });
    expect(readCliOptions(['--help'])).toBeUndefined();
  });

  it('arms faults for every utterance and connection', () => {
    const stall = { kind: 'stall', afterDeltas: 7 };
    expect(armed('stall:7')).toEqual([stall, stall]);
    const refused = { kind: 'refuse', status: 403 };
    expect(armed('refuse:403')).toEqual([refused, refused]);
    expect(armed('hang', 'slow:3')).toEqual([{ isHung: true }, { factor: 3 }]);
  });

  it('knows every fault that its help lists', () => {
    const listed = HELP.slice(HELP.indexOf('\nFaults')).match(/^ {2}[a-z0-9-]+(?= )/gm) ?? [];
    expect(listed.length).toBeGreaterThan(20);
    for (const name of listed) expect(armed(name.trim()).length).toBeGreaterThan(0);
  });

  it.each([
    ['--fault', 'nonsense'],
    ['--fault', 'stall:x'],
    ['--fault', 'stall:1:2'],
    ['--fault', 'toString'],
    ['--port', '70000'],
    ['--port', '1.5'],
    ['--delay-ms', '100'],
    ['--delay-ms', '0'],
    ['--step-ms', '-1'],
    ['--max-num-seqs', ''],
  ])('names the flag in its complaint about %s %s', (flag, value) => {
    expect(() => readCliOptions([`${flag}=${value}`])).toThrow(flag);
  });
});
