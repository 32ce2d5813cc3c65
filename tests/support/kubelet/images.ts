/** What an image brings along, as its Dockerfile says it. */
export interface Image {
  readonly entrypoint: readonly string[];
  readonly cmd?: readonly string[];
  readonly workingDir: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Another program that plays this one: it gets what the entry point would, and the environment. */
  readonly standIn?: (argv: readonly string[], env: Readonly<Record<string, string>>) => string[];
}

/** Images by the last part of their repository, such as `gateway`. */
export type Images = Readonly<Record<string, Image>>;

/** Throws for one that nobody has named: nothing is pulled here. */
export function imageOf(images: Images, reference: string): Image {
  const repository = reference.split('@')[0]?.replace(/:[^/:]*$/, '') ?? '';
  const name = repository.split('/').at(-1) ?? '';
  const image = Object.hasOwn(images, name) ? images[name] : undefined;
  if (image === undefined) throw new Error(`there is no image for ${reference}`);
  return image;
}

/** What a container runs: `command` takes the place of the entry point and of its arguments, `args` that of these. */
export function commandLine(
  image: Image,
  {
    command,
    args,
  }: { command?: readonly string[] | undefined; args?: readonly string[] | undefined },
): string[] {
  const given = args ?? (command ? [] : (image.cmd ?? []));
  return [...(command ?? image.entrypoint), ...given];
}
