/** Files of what was dropped or chosen, also those in folders, with their names from there on. */
import type { INamed } from './uploads';

/** What was found; `hidden`: how many were left out, since JupyterLab shows no names that begin with a dot. */
export interface IFound {
  readonly files: readonly INamed[];
  readonly hidden: number;
  /** Names of what the browser could not read. */
  readonly unread: readonly string[];
}

/** Must be called while the event is handled: afterwards the browser gives no items. */
export async function dropped(items: DataTransferItemList): Promise<IFound> {
  const entries = [...items].map(item => item.webkitGetAsEntry()).filter(entry => entry !== null);
  const found: INamed[] = [];
  const unread: string[] = [];
  await Promise.all(entries.map(entry => visit(entry, '', found, unread)));
  return shown(found, unread);
}

/** Of a field for files; those of a folder have their names from it on. */
export function chosen(list: FileList): IFound {
  return shown([...list].map(file => ({ name: file.webkitRelativePath || file.name, file })));
}

function shown(found: readonly INamed[], unread: readonly string[] = []): IFound {
  const files = found.filter(each => !each.name.split('/').some(part => part.startsWith('.')));
  return { files: [...files].sort((a, b) => (a.name < b.name ? -1 : 1)), hidden: found.length - files.length, unread };
}

/** All files of an entry; one that cannot be read is noted, and keeps no other from being sent. */
async function visit(entry: FileSystemEntry, above: string, found: INamed[], unread: string[]): Promise<void> {
  await walk(entry, above, found, unread).catch(() => void unread.push(above + entry.name));
}

async function walk(entry: FileSystemEntry, above: string, found: INamed[], unread: string[]): Promise<void> {
  const name = above + entry.name;
  if (entry.isFile) {
    const file = await new Promise<File>((given, failed) => (entry as FileSystemFileEntry).file(given, failed));
    found.push({ name, file });
  } else {
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((given, failed) => reader.readEntries(given, failed)); // at most a hundred at a time
      if (!some.length) {
        return;
      }
      await Promise.all(some.map(each => visit(each, `${name}/`, found, unread)));
    }
  }
}
