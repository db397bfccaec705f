/** Python that begins a session, for a cell of a notebook. */
import { named } from '../data/code';

/**
 * The same code, which ends with a line that shows the session, and also keeps the project folder in step if there is one. `notebook`: the path of the
 * one in which it is run.
 */
export function withProject(code: string, project: string | null, notebook: string): string {
  if (project === null) {
    return code;
  }
  const folder = named(project, notebook) || '.';
  return code.replace(/\nsession$/, () => `\nsession.sync(${JSON.stringify(folder)})\nsession`);
}
