import type { PipelineKind } from '../dialects/dialect.ts';
import type { LeanSettings } from '../lean/lean-env.ts';
import { type LeanDeps, LeanPipeline } from '../lean/lean-pipeline.ts';
import { TranscriptFiles } from '../lean/transcript-files.ts';
import { ListenPipeline } from '../listen/listen-pipeline.ts';
import type { SessionSink } from '../session/session-deps.ts';
import type { Pipeline } from '../ws/pipeline.ts';
import { audioChatAt } from './audio-chat-client.ts';
import { VoicePipeline } from './pipeline.ts';
import { TurnClient } from './turn-client.ts';
import type { VoiceDeps } from './voice-deps.ts';

/** Makes what stands between a connection and its session, by what its dialect asks for. */
export function pipelines(
  deps: Omit<VoiceDeps, 'turns' | 'audioReplies'>,
  lean?: Pick<LeanSettings, 'debug' | 'saveDir'>,
): (kind: PipelineKind | undefined, sink: SessionSink) => Pipeline | undefined {
  const { llmTtsUrl } = deps.settings;
  const voice: VoiceDeps = {
    ...deps,
    turns: new TurnClient(llmTtsUrl),
    audioReplies: audioChatAt(llmTtsUrl),
  };
  const { clock, settings } = deps;
  const leanDeps: LeanDeps = {
    clock,
    silenceMs: settings.silenceMs,
    maxUtteranceMs: settings.maxUtteranceMs,
    asrTimeoutMs: settings.asrTimeoutMs,
    debug: lean?.debug ?? false,
    files: lean?.saveDir ? new TranscriptFiles(lean.saveDir) : undefined,
  };
  return (kind, sink) => {
    switch (kind) {
      case undefined:
        return undefined;
      case 'voice':
        return new VoicePipeline(sink, voice);
      case 'lean':
        return new LeanPipeline(sink, leanDeps);
      case 'listen':
        return new ListenPipeline(sink, voice);
    }
  };
}
