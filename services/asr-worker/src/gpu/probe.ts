/** A graphics card, or the slice of one that CUDA shows. */
export interface Gpu {
  /** As the driver names it, such as `NVIDIA L40S`. */
  readonly name: string;
  readonly memoryMib: number;
  /** Such as 8.9; absent where an old driver does not tell. */
  readonly computeCapability?: number;
}

/** Runs a program and gives its stdout; `undefined` when it is missing, fails or takes longer than `timeoutMs`. */
export type Run = (
  command: string,
  args: readonly string[],
  timeoutMs: number,
) => Promise<string | undefined>;

export interface Probe {
  /** The first card that CUDA would show; absent without one. */
  readonly gpu?: Gpu;
  /** The newest CUDA the driver can run, such as `12.8`; else that of the compiler. */
  readonly cudaVersion?: string;
  /** What a person should know of how this was found. */
  readonly notes: readonly string[];
}

/** A driver that has to wake a sleeping card takes some seconds to answer. */
const TIMEOUT_MS = 15_000;
const FORMAT = '--format=csv,noheader,nounits';
const FIELDS = 'index,uuid,name,memory.total';
/** Drivers before 510 know no `compute_cap`. */
const NEW_FIELDS = `${FIELDS},compute_cap,mig.mode.current`;

interface Card extends Gpu {
  readonly index: string;
  readonly uuid: string;
  readonly sliced: boolean;
}

/**
 * Asks the driver which card CUDA will use and which CUDA it runs. Never throws: a machine without a card is a finding.
 * `visible` is CUDA_VISIBLE_DEVICES; empty counts as unset.
 */
export async function probeGpu(run: Run, visible?: string): Promise<Probe> {
  const smi = (...args: string[]) => run('nvidia-smi', args, TIMEOUT_MS);
  const listed =
    (await smi(`--query-gpu=${NEW_FIELDS}`, FORMAT)) ??
    (await smi(`--query-gpu=${FIELDS}`, FORMAT));
  const cuda = await cudaVersion(run);
  const unknown = (why: string): Probe => ({ ...cuda, notes: [`${why}: safe values are used`] });
  if (listed === undefined) return unknown('nvidia-smi does not answer, so no card is known');
  const cards = readCards(listed);
  // CUDA takes the entries in order and stops at the first one that does not exist.
  const wanted = visible?.split(',')[0]?.trim() ?? '';
  const card = wanted.startsWith('MIG-') ? undefined : findCard(cards, wanted);
  if (card && !card.sliced) return { gpu: gpuOf(card), ...cuda, notes: [] };
  if (!card && wanted !== '' && !wanted.startsWith('MIG-'))
    return unknown(`CUDA_VISIBLE_DEVICES=${visible} shows no card`);
  if (!card && wanted === '') return unknown('nvidia-smi lists no card');
  const gpu = findSlice(readSlices((await smi('-L')) ?? ''), cards, card?.uuid ?? wanted);
  return gpu ? { gpu, ...cuda, notes: [] } : unknown('no MIG slice of the card is visible');
}

function findCard(cards: readonly Card[], wanted: string): Card | undefined {
  if (wanted === '') return cards[0];
  return cards.find(
    ({ index, uuid }) => index === wanted || (wanted.startsWith('GPU-') && uuid.startsWith(wanted)),
  );
}

function gpuOf({ name, memoryMib, computeCapability }: Card): Gpu {
  return { name, memoryMib, ...(computeCapability === undefined ? {} : { computeCapability }) };
}

function readCards(csv: string): Card[] {
  return csv
    .split('\n')
    .map((line) => line.split(',').map((cell) => cell.trim()))
    .filter((cells) => cells.length >= 4 && Number.isFinite(Number(cells[3] || 'none')))
    .map(([index = '', uuid = '', name = '', memory, capability, mig]) => {
      const known = Number.parseFloat(capability ?? '');
      return {
        index,
        uuid,
        name,
        memoryMib: Number(memory),
        ...(Number.isFinite(known) ? { computeCapability: known } : {}),
        sliced: mig === 'Enabled',
      };
    });
}

interface Slice {
  readonly cardUuid: string;
  readonly uuid: string;
  /** Such as `3g.40gb`: compute units and memory. */
  readonly profile: string;
  readonly memoryMib: number;
}

/** Lines like `MIG 3g.40gb  Device  0: (UUID: MIG-...)`, each below the line of its card. */
function readSlices(list: string): Slice[] {
  const slices: Slice[] = [];
  let cardUuid = '';
  for (const line of list.split('\n')) {
    cardUuid = /^GPU \d+:.*\(UUID: (GPU-\S+)\)/.exec(line)?.[1] ?? cardUuid;
    const found = /^\s+MIG (\d+g\.(\d+)gb\S*)\s.*\(UUID: (MIG-\S+)\)/.exec(line);
    if (!found) continue;
    const [, profile = '', gigabytes, uuid = ''] = found;
    // Slices have a little more than these gigabytes of 10^9 bytes, and less than as many gibibytes.
    slices.push({
      cardUuid,
      uuid,
      profile,
      memoryMib: Math.floor((Number(gigabytes) * 1e9) / 2 ** 20),
    });
  }
  return slices;
}

/**
 * The slice of that id, or the first one of that card: CUDA shows no more than one. The old form of an id,
 * `MIG-GPU-<card>/<instance>/<slice>`, is not listed; it stands for the first slice of its card.
 */
function findSlice(slices: readonly Slice[], cards: readonly Card[], id: string): Gpu | undefined {
  const slice = id.startsWith('MIG-GPU-')
    ? slices.find(({ cardUuid }) => id.startsWith(`MIG-${cardUuid}/`))
    : slices.find(({ uuid, cardUuid }) => uuid.startsWith(id) || cardUuid === id);
  const card = cards.find(({ uuid }) => uuid === slice?.cardUuid);
  if (!slice || !card) return undefined;
  return {
    ...gpuOf(card),
    name: `${card.name} MIG ${slice.profile}`,
    memoryMib: slice.memoryMib,
  };
}

async function cudaVersion(run: Run): Promise<{ cudaVersion?: string }> {
  const driver = /CUDA Version:\s*(\d+\.\d+)/.exec((await run('nvidia-smi', [], TIMEOUT_MS)) ?? '');
  if (driver?.[1]) return { cudaVersion: driver[1] };
  const compiler = /release (\d+\.\d+)/.exec((await run('nvcc', ['--version'], TIMEOUT_MS)) ?? '');
  return compiler?.[1] ? { cudaVersion: compiler[1] } : {};
}
