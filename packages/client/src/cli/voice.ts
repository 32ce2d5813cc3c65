import { writeFile } from 'node:fs/promises';
import { VOICE_PATHS, type VoiceServerFrame } from '@voice-fleet/protocol/prompt-voice';
import { sleep } from '@voice-fleet/runtime/clock';
import { durationS } from '../audio-source.ts';
import { sessionTimeoutMs } from '../marks.ts';
import { printableUrl } from '../server-url.ts';
import { speak } from '../speak.ts';
import { VoiceClient } from '../voice-client.ts';
import { joinPhrases, readPhrase, type VoiceReply, voiceTimes } from '../voice-reply.ts';
import type { VoiceMode, VoiceTurn } from '../voice-turn.ts';
import {
  AUDIO,
  AUDIO_HELP,
  type CliIo,
  type Command,
  connectionHelp,
  connectOptions,
  loadRecording,
  parseFlags,
  positive,
  type Recording,
  seconds,
  UsageError,
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { Player } from './player.ts';
import { printJson, s } from './report.ts';
import { clientMarks, latencyTable, replyRows, speechS } from './voice-report.ts';

const [PATH] = VOICE_PATHS;
const MODES: readonly VoiceMode[] = ['voice', 'transcribe', 'chat'];
const REPLY_MODES = ['conversation', 'transcribe'] as const;
/** What a reply may take on top of the recording. */
const REPLY_TIMEOUT_MS = 60_000;

export const voice: Command = {
  summary: 'talk to the voice pipeline: transcript, reply and speech of one recording',
  help: `npm run client -- voice [flags]

Speaks one recording to ${PATH} in real time. Shows partials, the reply's tokens and its spoken
phrases as they come, then the marks t0 to t4. Exit code 0 when all that the mode promises came.

  --mode MODE            voice (default): transcript, reply, speech; transcribe: transcript
                         alone; chat: a reply straight from the audio, as text
  --reply-mode MODE      of chat: conversation (default) or transcribe
  --out FILE             write the speech as one WAV file
  --play                 play the phrases as they come (aplay, paplay, afplay, play or ffplay)
  --no-stop              send silence after the recording, and let the server find the end
  --barge-in-after MS    speak the recording again, MS after the first of the reply: the reply
                         must stop, and what was said into it must be answered

${AUDIO_HELP}

${connectionHelp(PATH)}`,
  run: runVoice,
};

interface Talk {
  readonly mode: VoiceMode;
  readonly replyMode: (typeof REPLY_MODES)[number] | undefined;
  readonly speed: number;
  readonly untilSilence: boolean;
  readonly bargeInAfterMs: number | undefined;
}

interface Talked {
  readonly reply: VoiceReply;
  /** The reply that was spoken into. */
  readonly interrupted: VoiceReply | undefined;
}

async function runVoice(args: readonly string[], io: CliIo): Promise<number> {
  const flags = parseFlags(args, {
    ...AUDIO,
    mode: { type: 'string', default: 'voice' },
    'reply-mode': { type: 'string' },
    out: { type: 'string' },
    play: { type: 'boolean', default: false },
    'no-stop': { type: 'boolean', default: false },
    'barge-in-after': { type: 'string' },
  });
  const { url, apiKey, keyIn } = connectOptions(flags, io, { path: PATH });
  const talk: Talk = {
    mode: oneOf('mode', flags.mode, MODES),
    replyMode:
      flags['reply-mode'] === undefined
        ? undefined
        : oneOf('reply-mode', flags['reply-mode'], REPLY_MODES),
    speed: positive(flags.speed, 'speed'),
    untilSilence: flags['no-stop'],
    bargeInAfterMs:
      flags['barge-in-after'] === undefined
        ? undefined
        : seconds(flags['barge-in-after'], 'barge-in-after'),
  };
  const server = printableUrl(url);
  const guard = { server, json: flags.json, debug: flags.debug, path: PATH };
  return await guarded(guard, io, async () => {
    const recording = await loadRecording(flags.file, io);
    const player = flags.play ? await Player.open(io.env['PATH'], io.signal) : undefined;
    io.stderr(`Speaking ${recording.path} to ${server}\n`);
    const client = await VoiceClient.connect({
      url,
      apiKey,
      keyIn,
      clock: io.clock,
      signal: io.signal,
      connectTimeoutMs: io.connectTimeoutMs,
      onFrame: watcher(io, { debug: flags.debug, player }),
    });
    try {
      const { reply, interrupted } = await talkTo(client, recording.pcm, talk, io);
      const out = await writeSpeech(flags.out, reply);
      const ok = succeeded(reply, talk.mode);
      const { sessionId } = client;
      const context = { recording, server, out, mode: talk.mode, sessionId, interrupted };
      if (flags.json) printJson(io.stdout, json(reply, { ...context, ok }));
      else io.stdout(text(reply, { ...context, full: flags['full-text'] }));
      if (!ok) io.stderr(`${shortcoming(reply, talk.mode)}\n`);
      return ok ? EXIT.ok : EXIT.failed;
    } finally {
      await client.close();
      await player?.close();
    }
  });
}

async function talkTo(client: VoiceClient, pcm: Buffer, talk: Talk, io: CliIo): Promise<Talked> {
  const { mode, replyMode, untilSilence, bargeInAfterMs } = talk;
  const turn = client.start({
    mode,
    // A pause in the recording is no end, unless the server is to find one.
    endpointing: untilSilence,
    ...(replyMode === undefined ? {} : { replyMode }),
  });
  await say(turn, pcm, talk, io);
  const timeoutMs = io.sessionTimeoutMs ?? sessionTimeoutMs(durationS(pcm)) + REPLY_TIMEOUT_MS;
  if (bargeInAfterMs === undefined) {
    return { reply: await turn.result(timeoutMs), interrupted: undefined };
  }
  await firstOfReply(turn);
  await sleep(io.clock, bargeInAfterMs, io.signal);
  if (turn.over.aborted) throw new Error(`The reply was over within ${bargeInAfterMs} ms.`);
  const next = client.interrupt();
  await say(next, pcm, talk, io);
  const interrupted = await turn.result(timeoutMs);
  return { reply: await next.result(timeoutMs), interrupted };
}

async function say(turn: VoiceTurn, pcm: Buffer, talk: Talk, io: CliIo): Promise<void> {
  const end = talk.untilSilence ? 'silence' : 'stop';
  await speak(turn, pcm, { clock: io.clock, signal: io.signal, speed: talk.speed, end });
}

/** Also settles when the turn is over without any. */
async function firstOfReply(turn: VoiceTurn): Promise<void> {
  for await (const { type } of turn) {
    if (type === 'llm_token' || type === 'text_chunk') return;
  }
}

/** Shows frames as they come; on a terminal a partial overwrites the one before. */
function watcher(
  io: CliIo,
  { debug, player }: { debug: boolean; player: Player | undefined },
): (frame: VoiceServerFrame) => void {
  const startMs = io.clock.now();
  const at = (): string => `+${((io.clock.now() - startMs) / 1000).toFixed(2)} s`.padStart(10);
  const line = (what: string, value: string): void => {
    io.stderr(`${at()}  ${what.padEnd(8)}  ${value}\n`);
  };
  return (frame) => {
    if (debug) return io.stderr(`< ${JSON.stringify(frame, shortAudio)}\n`);
    switch (frame.type) {
      case 'partial_transcript':
        if (io.isTty) io.stderr(`\r\u001b[K${at()}  partial   ${frame.text}`);
        else line('partial', JSON.stringify(frame.text));
        return;
      case 'final_transcript':
        if (io.isTty) io.stderr('\r\u001b[K');
        return line('final', JSON.stringify(frame.text));
      case 'llm_token':
        return frame.done ? undefined : line('token', JSON.stringify(frame.text));
      case 'text_chunk':
        return line('chunk', JSON.stringify(frame.text));
      case 'tts_chunk':
        player?.play(Buffer.from(frame.audio_b64, 'base64'));
        return line('speech', `phrase ${frame.seq}, ${phraseLength(frame)}`);
      case 'info':
        return frame.code === undefined ? undefined : line('info', frame.message);
      case 'error':
        return line('error', `${frame.code}: ${frame.message}`);
      case 'protocol':
      case 'finalize_pending':
      case 'tts_phrase_done':
      case 'tts_complete':
      case 'metrics':
      case 'pong':
      case 'session.report':
        return;
    }
  };
}

/** Speech that cannot be read fails the turn; showing it must not. */
function phraseLength(frame: Extract<VoiceServerFrame, { type: 'tts_chunk' }>): string {
  try {
    return s(readPhrase(frame, 0).durationMs / 1000);
  } catch {
    return 'unreadable';
  }
}

function shortAudio(key: string, value: unknown): unknown {
  return key === 'audio_b64' ? `(${String(value).length} characters)` : value;
}

function succeeded(reply: VoiceReply, mode: VoiceMode): boolean {
  if (reply.outcome !== 'complete') return false;
  const heard = (reply.transcript ?? '').trim() !== '';
  switch (mode) {
    case 'transcribe':
      return heard;
    case 'chat':
      return reply.reply.trim() !== '';
    case 'voice':
      return heard && reply.replyDone && reply.phrases.length > 0;
  }
}

function shortcoming(reply: VoiceReply, mode: VoiceMode): string {
  if (reply.error) return `The reply failed with ${reply.error.code}: ${reply.error.message}`;
  if (mode !== 'chat' && (reply.transcript ?? '').trim() === '') {
    return 'No word was understood: is there speech in the recording?';
  }
  if (mode === 'voice' && reply.replyDone) return 'The reply came, but none of it was spoken.';
  return 'The reply did not come to its end.';
}

async function writeSpeech(
  path: string | undefined,
  reply: VoiceReply,
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  const wav = joinPhrases(reply.phrases);
  if (wav === undefined) return undefined;
  await writeFile(path, wav);
  return path;
}

function text(reply: VoiceReply, context: Omit<Context, 'ok'> & { full: boolean }): string {
  const { recording, interrupted, full, out } = context;
  const { reference } = recording;
  const before = interrupted && `${replyRows(interrupted, { full, reference, out: undefined })}\n`;
  return `\n${before ?? ''}${replyRows(reply, { full, reference, out })}\n${latencyTable(reply)}`;
}

interface Context {
  readonly ok: boolean;
  readonly server: string;
  readonly recording: Recording;
  readonly mode: VoiceMode;
  readonly sessionId: string | undefined;
  readonly out: string | undefined;
  readonly interrupted: VoiceReply | undefined;
}

function json(reply: VoiceReply, context: Context): object {
  const { ok, server, recording, mode, sessionId, out, interrupted } = context;
  const { phrases, marks, partials, error, faults, latency, ...rest } = reply;
  const t0 = marks.firstAudioMs ?? marks.startMs;
  return {
    ok,
    server,
    file: recording.path,
    mode,
    sessionId: sessionId ?? null,
    reference: recording.reference ?? null,
    ...rest,
    partials: partials.length,
    phrases: phrases.map(({ seq, durationMs, atMs }) => ({ seq, durationMs, atMs: atMs - t0 })),
    speechS: speechS(reply),
    out: out ?? null,
    interrupted: interrupted
      ? { transcript: interrupted.transcript, reply: interrupted.reply }
      : null,
    error: error?.code ?? null,
    faults: faults.map(({ code }) => code),
    marks: clientMarks(marks),
    times: voiceTimes(marks),
    latency: latency ?? null,
  };
}

function oneOf<T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((item) => item === value);
  if (found) return found;
  throw new UsageError(`--${flag} takes ${allowed.join(', ')}, not "${value}".`);
}
