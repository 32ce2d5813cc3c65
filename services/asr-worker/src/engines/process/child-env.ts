/** What a speech program may need to find its way, its libraries and its threads. */
const PASSED =
  /^(?:PATH|HOME|LANG|LC_\w+|TMPDIR|TZ|LD_LIBRARY_PATH|(?:OMP|OPENBLAS|MKL|CUDA|VOX)_\w+)$/;

/** The environment of a speech program: none of the worker's keys and addresses. */
export function childEnv(env: NodeJS.ProcessEnv): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && PASSED.test(name)) passed[name] = value;
  return passed;
}
