/** What several sections say. */
import type { TranslationBundle } from '@jupyterlab/translation';

/** A folder of JupyterLab's. */
export function named(folder: string, trans: TranslationBundle): string {
  return folder === '' ? trans.__('the top folder') : folder;
}

/** Bytes as "1.2 GB", "340 MB", "17 B". */
export function bytes(count: number): string {
  if (count < 1000) {
    return `${count} B`;
  }
  const [unit, name] = count >= 1e9 ? [1e9, 'GB'] : count >= 1e6 ? [1e6, 'MB'] : [1e3, 'kB'];
  const value = count / unit;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${name}`;
}
