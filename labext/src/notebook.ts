/**
 * Code into the user's notebook: what the panel does there can be read, kept and run again.
 *
 * In Notebook 7 a page of the browser has one document, and gets no hold of others: there a new notebook has the code, and the user runs it.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { INotebookTracker, NotebookActions, NotebookPanel } from '@jupyterlab/notebook';

/** Code for the notebook at a path: it names files from its own folder on. */
export type CodeFor = (path: string) => string;

/** Put code into a cell below the selected one (or into that, if it is empty) and run it; without a notebook a new one is made. */
export async function runInNotebook(app: JupyterFrontEnd, tracker: INotebookTracker, code: CodeFor): Promise<void> {
  const panel = await insertInNotebook(app, tracker, code);
  if (panel) {
    await NotebookActions.run(panel.content, panel.sessionContext);
  }
}

/** The same, but it is left to the user to run it. Gives null if the notebook is another page. */
export async function insertInNotebook(app: JupyterFrontEnd, tracker: INotebookTracker, code: CodeFor): Promise<NotebookPanel | null> {
  if (!tracker.currentWidget && isSingle(app)) {
    await newNotebookOf(app, code(''));
    return null;
  }
  const panel = tracker.currentWidget ?? (await newNotebook(app));
  app.shell.activateById(panel.id);
  insertCell(panel, code(app.serviceManager.contents.localPath(panel.context.path)));
  panel.content.activate();
  return panel;
}

/** Run code in a certain notebook. */
export async function runCell(panel: NotebookPanel, code: string): Promise<void> {
  insertCell(panel, code);
  await NotebookActions.run(panel.content, panel.sessionContext);
}

function insertCell(panel: NotebookPanel, code: string): void {
  const notebook = panel.content;
  if (!notebook.activeCell || notebook.activeCell.model.sharedModel.getSource().trim()) {
    NotebookActions.insertBelow(notebook);
  }
  if (notebook.activeCell?.model.type !== 'code') {
    NotebookActions.changeCellType(notebook, 'code');
  }
  notebook.activeCell?.model.sharedModel.setSource(code);
}

/** A new notebook in a folder of the server, with its kernel. */
export async function newNotebook(app: JupyterFrontEnd, cwd?: string): Promise<NotebookPanel> {
  const kernelName = app.serviceManager.kernelspecs.specs?.default;
  const panel = (await app.commands.execute('notebook:create-new', { cwd, kernelName })) as NotebookPanel;
  await panel.context.ready;
  await panel.sessionContext.ready;
  return panel;
}

/** Whether a page has one document, as in Notebook 7. */
export function isSingle(app: JupyterFrontEnd): boolean {
  return !('mode' in app.shell);
}

/** Write a notebook with one cell into a folder of the server and open it, where pages have one document. */
export async function newNotebookOf(app: JupyterFrontEnd, code: string, cwd = ''): Promise<void> {
  const { contents, kernelspecs } = app.serviceManager;
  await kernelspecs.ready;
  const name = kernelspecs.specs?.default ?? 'python3';
  const kernelspec = { name, display_name: kernelspecs.specs?.kernelspecs[name]?.display_name ?? name };
  const cell = { cell_type: 'code', id: 'mpidist', metadata: {}, source: code, outputs: [], execution_count: null };
  const content = { nbformat: 4, nbformat_minor: 5, metadata: { kernelspec }, cells: [cell] };
  const { path } = await contents.newUntitled({ type: 'notebook', path: cwd });
  await contents.save(path, { type: 'notebook', format: 'json', content });
  await app.commands.execute('docmanager:open', { path });
}
