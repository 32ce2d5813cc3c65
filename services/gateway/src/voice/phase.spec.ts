import { describe, expect, it } from '@jest/globals';
import { VoiceError } from '@voice-fleet/protocol/errors';
import { type Phase, PhaseMachine } from './phase.ts';

function walk(...phases: Phase[]): { machine: PhaseMachine; moves: string[] } {
  const moves: string[] = [];
  const machine = new PhaseMachine((from, to) => moves.push(`${from}>${to}`));
  for (const phase of phases) machine.move(phase);
  return { machine, moves };
}

describe('PhaseMachine', () => {
  it('tells each move of a turn, and when something is under way', () => {
    const { machine, moves } = walk('CAPTURING', 'THINKING', 'RESPONDING');
    expect(machine.busy).toBe(true);
    machine.move('COMPLETE');
    expect(machine.busy).toBe(false);
    machine.move('COMPLETE');
    expect(moves).toEqual([
      'IDLE>CAPTURING',
      'CAPTURING>THINKING',
      'THINKING>RESPONDING',
      'RESPONDING>COMPLETE',
    ]);
  });

  it.each<[Phase, Phase[]]>([
    ['RESPONDING', ['CAPTURING']],
    ['THINKING', []],
    ['CAPTURING', ['CAPTURING', 'THINKING', 'RESPONDING', 'CAPTURING']],
    ['RESPONDING', ['CAPTURING', 'COMPLETE']],
    ['CAPTURING', ['ERROR']],
  ])('has no way to %s after %j', (to, before) => {
    expect(() => walk(...before, to)).toThrow('no way');
  });

  it('may be cut in on, and cancelled anywhere', () => {
    walk('CAPTURING', 'THINKING', 'CAPTURING', 'THINKING', 'RESPONDING', 'CAPTURING', 'COMPLETE');
    walk('COMPLETE', 'CAPTURING');
  });

  it('is over for good after a violation', () => {
    const { machine } = walk('CAPTURING');
    expect(() => machine.violate()).toThrow(VoiceError);
    expect(machine.phase).toBe('ERROR');
  });
});
