/** From a run in the panel to its notebook: the cell that shows it, and its live view in a tab of its own. */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { MainAreaWidget } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { MimeModel } from '@jupyterlab/rendermime';
import { Panel } from '@lumino/widgets';

import type { Wire } from '../asking';
import { mpidistIcon } from '../icons';
import { isSingle } from '../notebook';

const VIEW = 'application/vnd.jupyter.widget-view+json';

/** The notebook, opened if it is closed; null if that is another page of the browser, as in Notebook 7. */
async function notebookAt(app: JupyterFrontEnd, path: string): Promise<NotebookPanel | null> {
  if (isSingle(app)) {
    const shown = app.shell.currentWidget as Partial<NotebookPanel> | null;
    if (shown?.context && app.serviceManager.contents.localPath(shown.context.path) === path) {
      return shown as NotebookPanel;
    }
    await app.commands.execute('docmanager:open', { path });
    return null;
  }
  const panel = (await app.commands.execute('docmanager:open', { path, factory: 'Notebook' })) as NotebookPanel;
  await panel.context.ready;
  return panel;
}

/** Show and select the cell in which a run is displayed: it is seen now, it is in another page, or it is there no more. */
export async function jump(app: JupyterFrontEnd, path: string, run: Wire['Run']): Promise<'here' | 'elsewhere' | 'gone'> {
  const panel = await notebookAt(app, path);
  if (!panel) {
    return 'elsewhere';
  }
  const { content } = panel;
  const named = content.widgets.findIndex(cell => cell.model.id === run.cell);
  // Before format 4.5 cells have no names in the file: others are given whenever it is opened.
  const place = named >= 0 ? named : content.widgets.findIndex(cell => shows(cell.model, run));
  if (place < 0) {
    return 'gone';
  }
  content.activeCellIndex = place;
  await content.scrollToItem(place, 'start');
  return 'here';
}

/** Whether the view of a run is in the output of a cell. */
function shows(cell: { toJSON(): object }, run: Wire['Run']): boolean {
  const { outputs = [] } = cell.toJSON() as { outputs?: { data?: Record<string, { model_id?: string }> }[] };
  return !!run.model && outputs.some(output => output.data?.[VIEW]?.model_id === run.model);
}

/** The view of a run, live, in a tab of its own; it is the same as in the cell, and shows wherever that is. */
export async function openView(app: JupyterFrontEnd, path: string, run: Wire['Run']): Promise<void> {
  const id = `mpidist-run-${run.id}`;
  for (const each of app.shell.widgets('main')) {
    if (each.id === id) {
      app.shell.activateById(id);
      return;
    }
  }
  const panel = (await notebookAt(app, path)) as NotebookPanel;
  await panel.sessionContext.ready;
  const model = new MimeModel({ data: { [VIEW]: { version_major: 2, version_minor: 0, model_id: run.model } } });
  const renderer = panel.content.rendermime.createRenderer(VIEW);
  const content = new Panel();
  content.addClass('jp-mpidist-View');
  content.addWidget(renderer);
  const tab = new MainAreaWidget({ content });
  tab.id = id;
  tab.title.label = run.results.join(', ').slice(0, 40);
  tab.title.icon = mpidistIcon;
  tab.title.closable = true;
  app.shell.add(tab, 'main', { mode: 'split-right' });
  await renderer.renderModel(model);
  panel.disposed.connect(() => tab.dispose());
}
