/** Ranks and their time in the status bar, and a notification before it is over. */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IMpidistPanel, IMpidistServer } from '../tokens';
import { StatusItem } from './item';
import { IClock, StatusModel } from './model';
import { ending, sentence } from './words';

const ID = '@mpidist/labext:status';

export const status: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Ranks and the time that is left in the status bar; notifications before it is over.',
  autoStart: true,
  requires: [IMpidistPanel, IMpidistServer],
  optional: [IStatusBar, ISettingRegistry, ITranslator],
  activate: (
    _app: JupyterFrontEnd,
    panel: IMpidistPanel,
    server: IMpidistServer,
    bar: IStatusBar | null,
    registry: ISettingRegistry | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('mpidist');
    const model = new StatusModel(server.api, server.events, clock);
    const open = () => panel.reveal();
    bar?.registerStatusItem(ID, {
      item: new StatusItem(model, trans, open),
      align: 'left',
      rank: 10,
      isActive: () => model.ranks > 0,
      activeStateChanged: model.changed
    });
    model.noticed.connect((_, notice) => {
      Notification.warning(sentence(notice, trans), {
        autoClose: false,
        actions: [{ label: trans.__('Show sessions'), callback: open }]
      });
    });
    model.ended.connect((_, run) => {
      const tell = run.state === 'failed' || run.failures > 0 ? Notification.warning : Notification.success;
      // JupyterLab shows the beginning of a long text only.
      tell(ending(run, trans), { autoClose: false, actions: [{ label: trans.__('Show runs'), callback: open }] });
    });
    void registry?.load(ID).then(settings => {
      const take = () => {
        model.notifies = settings.composite['notifications'] as boolean;
        model.longRun = settings.composite['longRun'] as number;
        model.limits = (settings.composite['minutesBefore'] as number[]).map(minutes => 60 * minutes);
      };
      settings.changed.connect(take);
      take();
    });
  }
};

const clock: IClock = {
  now: () => Date.now() / 1000,
  later: (act, seconds) => {
    const timer = window.setTimeout(act, 1000 * seconds);
    return () => window.clearTimeout(timer);
  },
  visible: () => !document.hidden
};
