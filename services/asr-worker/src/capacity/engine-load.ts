/** One frame of audio. An engine that steps in more than this falls behind. */
export const FRAME_MS = 80;

/** What a worker saw of its frames during one tick. A frame is due when the audio that completes it was handed over. */
export interface FrameTick {
  readonly due: number;
  /** Frames answered with a delta. */
  readonly done: number;
  /** From handing over the audio that completes a frame to its delta. */
  readonly p50Ms: number;
  readonly p95Ms: number;
}

/**
 * How long one engine step takes, from the median frame latency. An engine that is never idle serves a frame with the
 * step after the one it arrives in, so latencies spread evenly over one to two steps. One that idles serves most of them
 * at once: the less it is busy, the nearer is the median to a single step. `framesPerMs` are the frames served.
 */
export function stepMs(p50Ms: number, framesPerMs: number): number {
  if (framesPerMs * p50Ms >= 1.5) return p50Ms / 1.5;
  if (framesPerMs * p50Ms <= 0.5) return p50Ms;
  return (p50Ms + 0.5 / framesPerMs) / 2;
}

/**
 * Engine time for each second of audio: 1 is as much as the engine can do. While it keeps up that is its step against a
 * frame; once frames queue their latency is mostly waiting, so then it is audio handed over against audio answered.
 * Undefined when nothing was answered.
 */
export function realTimeFactor(frames: FrameTick, tickMs: number): number | undefined {
  if (!(frames.done > 0 && frames.p50Ms > 0 && tickMs > 0)) return undefined;
  const step = stepMs(frames.p50Ms, frames.done / tickMs);
  const factor = step <= FRAME_MS ? step / FRAME_MS : frames.due / frames.done;
  return Number.isFinite(factor) ? factor : undefined;
}
