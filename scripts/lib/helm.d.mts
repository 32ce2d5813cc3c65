export function ensureHelm(): Promise<Record<string, string>>;
export function findHelm(major: '3' | '4'): string | undefined;
