import { sleep } from '@voice-fleet/runtime/clock';
import { durationS } from '../audio-source.ts';
import { sessionTimeoutMs, type UtteranceMetrics, utteranceMetrics } from '../marks.ts';
import { summarize } from '../stats.ts';
import { continuityOf, openSession, transcribe } from '../transcribe.ts';
import type { YapTranscript } from '../yap-utterance.ts';
import {
  AUDIO,
  CONNECTION_HELP,
  type Command,
  connectOptions,
  loadRecording,
  parseFlags,
  positive,
  printableUrls,
  type Recording,
  SURVIVAL,
  SURVIVAL_HELP,
  seconds,
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { livePartials } from './partials.ts';
import { continuityRows, list, printJson, transcriptRows, utteranceRows } from './report.ts';

interface Segment {
  readonly recording: Recording;
  readonly transcript: YapTranscript;
  readonly metrics: UtteranceMetrics;
}

export const convo: Command = {
  summary: 'two utterances on one socket with a pause between them',
  help: `npm run client -- convo [flags]

Speaks two recordings on one connection, with a pause in which nothing is sent, and prints
the timings of each. Exit code 0 when both came back, 1 when not.

  --file1 PATH         first recording (default: a LibriVox sample)
  --file2 PATH         second recording (default: the next sample)
  --pause-s SECONDS    pause between them (default 3)
  --speed FACTOR       1 is real time (default), 2 twice as fast
  --full-text          print whole transcripts instead of 80 characters

${SURVIVAL_HELP}

${CONNECTION_HELP}`,
  run: async (args, io) => {
    const flags = parseFlags(args, {
      ...SURVIVAL,
      file1: { type: 'string' },
      file2: { type: 'string' },
      'pause-s': { type: 'string', default: '3' },
      speed: AUDIO.speed,
      'full-text': AUDIO['full-text'],
    });
    const connect = connectOptions(flags, io);
    const pauseMs = seconds(flags['pause-s'], 'pause-s') * 1000;
    const speed = positive(flags.speed, 'speed');
    const server = printableUrls(connect.urls);
    return await guarded({ server, json: flags.json, debug: flags.debug }, io, async () => {
      const recordings = [
        await loadRecording(flags.file1, io, 0),
        await loadRecording(flags.file2, io, 1),
      ];
      const client = await openSession(connect);
      const segments: Segment[] = [];
      try {
        for (const [i, recording] of recordings.entries()) {
          if (i > 0) await sleep(io.clock, pauseMs, io.signal);
          io.stderr(`Speaking ${recording.path} to ${server}\n`);
          const audioS = durationS(recording.pcm);
          const transcript = await transcribe(client, recording.pcm, {
            clock: io.clock,
            signal: io.signal,
            speed,
            handlers: livePartials(io),
            timeoutMs: io.sessionTimeoutMs ?? sessionTimeoutMs(audioS / speed),
          });
          const metrics = utteranceMetrics(transcript.marks, audioS, speed);
          segments.push({ recording, transcript, metrics });
        }
        await client.end();
      } finally {
        await client.close();
      }
      const continuity = continuityOf(client);
      if (flags.json) {
        const told = { continuity: continuity ?? null, segments: segments.map(json) };
        printJson(io.stdout, { ok: true, server, ...told });
      } else {
        const texts = segments.map((segment, i) => text(segment, i, flags['full-text']));
        const rows = continuityRows(continuity);
        io.stdout(`${texts.join('')}${rows.length > 0 ? `\n${list(rows)}` : ''}`);
      }
      return EXIT.ok;
    });
  },
};

function text({ recording, transcript, metrics }: Segment, index: number, full: boolean): string {
  const words = transcriptRows(transcript, { full, reference: recording.reference });
  return `\nSegment ${index + 1}\n${list([...words, ...utteranceRows(metrics)])}`;
}

function json({ recording, transcript, metrics }: Segment): object {
  const { partialGapsMs, ...numbers } = metrics;
  return {
    file: recording.path,
    text: transcript.finalText,
    reference: recording.reference ?? null,
    tokensMatchFinal: transcript.text === transcript.finalText,
    usage: transcript.usage,
    droppedS: transcript.droppedS,
    metrics: { ...numbers, partialGapMs: summarize(partialGapsMs) ?? null },
  };
}
