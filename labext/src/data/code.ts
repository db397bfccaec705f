/** Python for what is looked at in a data file. */
import { PathExt } from '@jupyterlab/coreutils';

import type { Wire } from '../asking';

/** How a notebook names a file: from its own folder on; remote names as they are. */
export function named(path: string, notebook: string | null): string {
  if (path.includes('://')) {
    return path;
  }
  return notebook === null ? path : PathExt.relative(PathExt.dirname(notebook), path);
}

/** Python that opens the file, and the column if there is one. `notebook`: the path of the one in which it is run. */
export function code(contents: Wire['Contents'], tree: string | null, column: Wire['Column'] | null, notebook: string | null): string {
  const name = named(contents.path, notebook);
  if (contents.format === 'results of mpidist') {
    return `import mpidist as md\n\nsaved = md.load(${JSON.stringify(name)})\nsaved.results`;
  }
  const events = `events = md.open(${JSON.stringify(tree ? `${name}:${tree}` : name)})`;
  return `import mpidist as md\n\n${events}\nevents${column?.access ?? ''}`;
}

/** "1.2 k", "30 M": with three digits at most. */
export function short(count: number): string {
  for (const [unit, name] of [
    [1e9, ' G'],
    [1e6, ' M'],
    [1e3, ' k']
  ] as const) {
    if (count >= unit) {
      return `${trimmed(count / unit)}${name}`;
    }
  }
  return String(count);
}

/** A number with three or four digits. */
export function trimmed(value: number): string {
  return String(Number(value.toPrecision(Math.abs(value) >= 1000 ? 4 : 3)));
}
