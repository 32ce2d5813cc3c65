import { summarize } from '../stats.ts';
import { runSession, type SessionReport } from '../transcribe.ts';
import {
  AUDIO,
  AUDIO_HELP,
  type CliIo,
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
} from './flags.ts';
import { EXIT, guarded } from './guard.ts';
import { livePartials } from './partials.ts';
import { continuityRows, list, printJson, sessionRows, transcriptRows } from './report.ts';

export const warmup: Command = {
  summary: 'transcribe one recording, show partials live, print timings',
  help: `npm run client -- warmup [flags]

Speaks one recording in real time and shows the words as they come, then how long each
step took. Exit code 0 when a transcript came back, 1 when not.

${AUDIO_HELP}

${SURVIVAL_HELP}

${CONNECTION_HELP}`,
  run: (args, io) => runWarmup(args, io),
};

export async function runWarmup(
  args: readonly string[],
  io: CliIo,
  defaults: { secureByDefault?: boolean } = {},
): Promise<number> {
  const flags = parseFlags(args, { ...AUDIO, ...SURVIVAL });
  const connect = connectOptions(flags, io, defaults);
  const speed = positive(flags.speed, 'speed');
  const server = printableUrls(connect.urls);
  return await guarded({ server, json: flags.json, debug: flags.debug }, io, async () => {
    const recording = await loadRecording(flags.file, io);
    io.stderr(`Speaking ${recording.path} to ${server}\n`);
    const report = await runSession(recording.pcm, {
      ...connect,
      speed,
      handlers: livePartials(io),
      ...(io.sessionTimeoutMs === undefined ? {} : { timeoutMs: io.sessionTimeoutMs }),
    });
    if (flags.json) printJson(io.stdout, json(report, recording, server));
    else io.stdout(text(report, recording, flags['full-text']));
    return EXIT.ok;
  });
}

function text(report: SessionReport, recording: Recording, full: boolean): string {
  const { transcript, metrics } = report;
  const words = list(transcriptRows(transcript, { full, reference: recording.reference }));
  const rows = [...sessionRows(metrics), ...continuityRows(report.continuity)];
  return `\n${words}\n${list(rows)}`;
}

function json(report: SessionReport, recording: Recording, server: string): object {
  const { transcript, metrics } = report;
  const { partialGapsMs, ...numbers } = metrics;
  return {
    ok: true,
    server,
    file: recording.path,
    sessionId: report.sessionId,
    text: transcript.finalText,
    reference: recording.reference ?? null,
    tokensMatchFinal: transcript.text === transcript.finalText,
    usage: transcript.usage,
    droppedS: transcript.droppedS,
    continuity: report.continuity ?? null,
    metrics: { ...numbers, partialGapMs: summarize(partialGapsMs) ?? null },
  };
}
