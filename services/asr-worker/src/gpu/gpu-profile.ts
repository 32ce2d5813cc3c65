import { kvPoolGib, safeSessions } from './kv-cost.ts';
import type { Gpu } from './probe.ts';

/** What a card is given to do, before anything was measured on it. */
export interface GpuProfile {
  /** For `--max-num-batched-tokens`. */
  readonly maxBatchedTokens: number;
  /** Live sessions to plan with until a load test says otherwise. */
  readonly planningSlots: number;
  readonly notes: readonly string[];
}

/** The names that batches are known for. H200 is not among them, though its chip is that of an H100. */
const BATCHED_TOKENS = [
  { names: /\b(?:H100|G?B200|RTX 9000)\b/, maxBatchedTokens: 4096 },
  { names: /\b(?:L40S?|RTX 6000|A100)\b/, maxBatchedTokens: 2048 },
];
const SAFE_BATCHED_TOKENS = 2048;

/** Planned for whole cards; a slice, or a smaller card of the same name, goes by its memory. */
const PLANNED = [
  { names: /\bL40S\b/, minMemoryMib: 44_000, slots: 32 },
  { names: /\b(?:A100|H100)\b/, minMemoryMib: 79_000, slots: 64 },
  { names: /\bH200\b/, minMemoryMib: 139_000, slots: 96 },
];

/** Share of the memory that the planned slots rest on. */
const USABLE = 0.9;
/** Segments are no longer than this unless an operator says so. */
const UTTERANCE_S = 60;
/** Of cards that nobody planned for the memory is known, not the bandwidth: no more than the least that was planned. */
const MAX_UNPLANNED_SLOTS = 32;
/** The smallest card that the model is published for. */
const LEAST_MEMORY_MIB = 16 * 1024;

/** Never refuses: of a card it does not know it takes what is safe and says so. */
export function gpuProfile(gpu: Gpu | undefined): GpuProfile {
  if (gpu === undefined) {
    return {
      maxBatchedTokens: SAFE_BATCHED_TOKENS,
      planningSlots: slotsByMemory(LEAST_MEMORY_MIB),
      notes: [],
    };
  }
  const notes: string[] = [];
  const batched = BATCHED_TOKENS.find(({ names }) => names.test(gpu.name));
  if (!batched)
    notes.push(`${gpu.name} is not in the table: --max-num-batched-tokens ${SAFE_BATCHED_TOKENS}`);
  const planned = PLANNED.find(
    ({ names, minMemoryMib }) => names.test(gpu.name) && gpu.memoryMib >= minMemoryMib,
  );
  if (fitting(gpu.memoryMib) < 1) {
    notes.push(
      `${gpu.memoryMib} MiB leave no room for one utterance of 60 s beside the model: expect vLLM to run out of memory`,
    );
  }
  return {
    maxBatchedTokens: batched?.maxBatchedTokens ?? SAFE_BATCHED_TOKENS,
    planningSlots: planned?.slots ?? slotsByMemory(gpu.memoryMib),
    notes,
  };
}

/** As many as may all be a minute old at once. */
function fitting(memoryMib: number): number {
  return safeSessions(kvPoolGib(memoryMib / 1024, USABLE), UTTERANCE_S);
}

function slotsByMemory(memoryMib: number): number {
  return Math.min(Math.max(fitting(memoryMib), 1), MAX_UNPLANNED_SLOTS);
}
