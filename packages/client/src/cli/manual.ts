import { VOICE_PATHS, type VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { BYTES_PER_SAMPLE, msToSamples, SAMPLE_RATE } from '@voice-fleet/speech/pcm';
import { loadPcm, pacedChunks } from '../audio-source.ts';
import { printableUrl } from '../server-url.ts';
import { VoiceClient } from '../voice-client.ts';
import { orderFaults } from '../voice-order.ts';
import {
  type CliIo,
  type Command,
  connectionHelp,
  connectOptions,
  parseFlags,
  positive,
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { printJson } from './report.ts';

const [PATH] = VOICE_PATHS;
const SINE_MS = 2_000;
const SINE_HZ = 440;
const AMPLITUDE = 8_000;
const SILENCE_MS = 1_500;
const REPLY_TIMEOUT_MS = 60_000;

export const manual: Command = {
  summary:
    'one utterance on the voice pipeline: every event with its time, and whether their order is right',
  help: `npm run manual-ws-client -- [flags]

Starts an utterance on ${PATH}, sends two seconds of a sine and ${SILENCE_MS / 1000} s of silence in real time, and
prints every event with its time. Unless the silence ends the utterance, stop does. Exit code 0
when a final transcript came and all events came in the order of the protocol.

  --file PATH          send this recording, and then the silence, instead of the sine
  --speed FACTOR       1 is real time (default), 2 twice as fast
  --key KEY            the same as --voxtral-key

${connectionHelp(PATH)}`,
  run: runManual,
};

interface Event {
  readonly atMs: number;
  readonly frame: VoiceServerFrame;
}

async function runManual(args: readonly string[], io: CliIo): Promise<number> {
  const flags = parseFlags(args, {
    file: { type: 'string' },
    speed: { type: 'string', default: '1' },
    key: { type: 'string' },
  });
  const key = flags.key ?? flags['voxtral-key'];
  const { url, apiKey, keyIn } = connectOptions({ ...flags, 'voxtral-key': key }, io, {
    path: PATH,
  });
  const speed = positive(flags.speed, 'speed');
  const server = printableUrl(url);
  const guard = { server, json: flags.json, debug: flags.debug, path: PATH };
  return await guarded(guard, io, async () => {
    const sound = flags.file === undefined ? sine() : await loadPcm(flags.file, io);
    const events: Event[] = [];
    const startMs = io.clock.now();
    const client = await VoiceClient.connect({
      url,
      apiKey,
      keyIn,
      clock: io.clock,
      signal: io.signal,
      connectTimeoutMs: io.connectTimeoutMs,
      onFrame: (frame) => {
        const event = { atMs: io.clock.now() - startMs, frame };
        events.push(event);
        if (!flags.json) io.stdout(line(event));
      },
    });
    let faults: string[];
    try {
      const before = events.length;
      await utterance(client, sound, speed, io);
      const frames = events.slice(before).map(({ frame }) => frame);
      const heard = frames.some(({ type }) => type === 'final_transcript');
      faults = [...orderFaults(frames), ...(heard ? [] : ['no final transcript'])];
    } finally {
      await client.close();
    }
    const ok = faults.length === 0;
    if (flags.json) printJson(io.stdout, { ok, server, faults, events: events.map(brief) });
    else io.stdout(ok ? 'The order is right.\n' : faults.map((it) => `Wrong: ${it}\n`).join(''));
    return ok ? EXIT.ok : EXIT.failed;
  });
}

async function utterance(
  client: VoiceClient,
  sound: Buffer,
  speed: number,
  io: CliIo,
): Promise<void> {
  const turn = client.start();
  const signal = AbortSignal.any([io.signal, turn.over]);
  const pcm = Buffer.concat([sound, Buffer.alloc(msToSamples(SILENCE_MS) * BYTES_PER_SAMPLE)]);
  try {
    for await (const chunk of pacedChunks(pcm, { clock: io.clock, signal, speed })) {
      if (!turn.listening) break;
      turn.send(chunk);
    }
  } catch (error) {
    if (!turn.over.aborted) throw error;
  }
  if (turn.listening) turn.stop();
  await turn.result(io.sessionTimeoutMs ?? REPLY_TIMEOUT_MS);
}

function sine(): Buffer {
  const samples = msToSamples(SINE_MS);
  const pcm = Buffer.alloc(samples * BYTES_PER_SAMPLE);
  for (let i = 0; i < samples; i++) {
    const value = AMPLITUDE * Math.sin((2 * Math.PI * SINE_HZ * i) / SAMPLE_RATE);
    pcm.writeInt16LE(Math.round(value), i * BYTES_PER_SAMPLE);
  }
  return pcm;
}

function line(event: Event): string {
  const { type, ...rest } = brief(event).frame;
  const at = `+${(event.atMs / 1000).toFixed(3)} s`.padStart(11);
  return `${at}  ${type.padEnd(18)} ${JSON.stringify(rest)}\n`;
}

/** Without the audio, which nobody can read. */
function brief({ atMs, frame }: Event): { atMs: number; frame: VoiceServerFrame } {
  if (frame.type !== 'tts_chunk') return { atMs, frame };
  return { atMs, frame: { ...frame, audio_b64: `(${frame.audio_b64.length} characters)` } };
}
