import type { Clock } from '@voice-fleet/runtime/clock';
import { codedPcm } from './coded-pcm.fixture.ts';
import { MemoryNet, settle } from './memory-net.fixture.ts';
import { ResumableYapClient, type ResumableYapOptions } from './resumable-yap-client.ts';
import { ScriptedYapFleet } from './scripted-yap-fleet.fixture.ts';
import type { YapUtterance } from './yap-utterance.ts';

/** Longer than any test lets pass. */
export const LONG_MS = 600_000;
export const TTL_S = 60;

/** A FakeClock: specs bring it. */
export interface TurnedClock extends Clock {
  readonly pending: number;
  advance(byMs: number): void;
}

export interface Rig {
  readonly clock: TurnedClock;
  readonly fleet: ScriptedYapFleet;
  readonly net: MemoryNet;
  readonly client: ResumableYapClient;
}

/** A client's surroundings, without the client. */
export function parts(clock: TurnedClock) {
  const fleet = new ScriptedYapFleet({ ttlS: TTL_S });
  const net = new MemoryNet(fleet);
  const urls = [new URL('ws://a/'), new URL('ws://b/')];
  return { clock, fleet, net, options: { urls, clock, dial: net.dial, random: () => 0 } };
}

export async function rig(
  clock: TurnedClock,
  more: Partial<ResumableYapOptions> = {},
): Promise<Rig> {
  const { options, ...rest } = parts(clock);
  const connecting = ResumableYapClient.connect({ ...options, ...more });
  await rest.net.flow();
  return { ...rest, client: await connecting };
}

/** Speaks on, in pieces of 80 ms. */
export function speak(utterance: YapUtterance, from: number, samples: number): void {
  const number = Number(utterance.requestId.split('-').at(-1));
  for (let at = from; at < from + samples; at += 1280) {
    utterance.append(codedPcm(number, at, Math.min(1280, from + samples - at)));
  }
}

/** Appends that wait on the wire, in samples. */
export function waiting(net: MemoryNet): number {
  return net.wire.toServer.reduce((sum, text) => {
    const { payload } = JSON.parse(text) as { payload: { audio?: string } };
    return sum + Buffer.from(payload.audio ?? '', 'base64').length / 2;
  }, 0);
}

/** Advances in small steps, so that all that waits for promises happens in time. */
export async function pass(clock: TurnedClock, totalMs: number, stepMs = 100): Promise<void> {
  for (let ms = 0; ms < totalMs; ms += stepMs) {
    clock.advance(stepMs);
    await settle();
  }
}
