/** The plugins that others build on: the way to the server, and the panel. */
import { ILabShell, ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { SidePanel } from '@jupyterlab/ui-components';
import type { Widget } from '@lumino/widgets';

import { Api } from './api';
import { Events, ISocket } from './events';
import { mpidistIcon } from './icons';
import { IMpidistPanel, IMpidistServer } from './tokens';

export const server: JupyterFrontEndPlugin<IMpidistServer> = {
  id: '@mpidist/labext:server',
  description: "The way to mpidist's part of the Jupyter server.",
  autoStart: true,
  provides: IMpidistServer,
  activate: (app: JupyterFrontEnd): IMpidistServer => {
    const settings = app.serviceManager.serverSettings;
    const events = new Events({
      open: () => socketOf(settings),
      visible: () => !document.hidden,
      onVisible: changed => document.addEventListener('visibilitychange', changed),
      later: (act, milliseconds) => void window.setTimeout(act, milliseconds)
    });
    return { api: new Api(settings), events };
  }
};

function socketOf(settings: ServerConnection.ISettings): ISocket {
  const token = settings.appendToken && settings.token ? `?token=${encodeURIComponent(settings.token)}` : '';
  return new settings.WebSocket(URLExt.join(settings.wsUrl, 'mpidist', 'events') + token);
}

/** Sections in the order of their ranks. */
class Panel extends SidePanel implements IMpidistPanel {
  private readonly ranks: number[] = [];

  constructor(
    translator: ITranslator,
    private readonly show_: (id: string) => void
  ) {
    super({ translator });
    this.id = 'mpidist-panel';
    this.title.icon = mpidistIcon;
    this.title.caption = 'mpidist';
    this.addClass('jp-mpidist-Panel');
  }

  addSection(section: Widget, rank: number): void {
    const found = this.ranks.findIndex(other => other > rank);
    const place = found < 0 ? this.ranks.length : found;
    this.ranks.splice(place, 0, rank);
    this.insertWidget(place, section);
  }

  reveal(): void {
    this.show_(this.id);
  }
}

export const panel: JupyterFrontEndPlugin<IMpidistPanel> = {
  id: '@mpidist/labext:panel',
  description: 'The panel of mpidist in the left side bar.',
  autoStart: true,
  provides: IMpidistPanel,
  optional: [ILabShell, ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    shell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ): IMpidistPanel => {
    const made = new Panel(translator ?? nullTranslator, id => app.shell.activateById(id));
    app.shell.add(made, 'left', { rank: 500, type: 'mpidist' });
    if (shell) {
      restorer?.add(made, made.id);
    }
    return made;
  }
};
