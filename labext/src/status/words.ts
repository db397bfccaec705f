/** The model in words. */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Notice, RunSeen, StatusModel } from './model';

/** So many s, rounded down to minutes. */
export function duration(seconds: number, trans: TranslationBundle): string {
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1) {
    return trans.__('less than 1 min');
  }
  if (minutes < 60) {
    return trans.__('%1 min', minutes);
  }
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor(minutes / 60) % 24;
  return days > 0 ? trans.__('%1 d %2 h', days, hours) : trans.__('%1 h %2 min', hours, minutes % 60);
}

/** What the status bar says; "" if there are no ranks. */
export function summary(model: StatusModel, trans: TranslationBundle): string {
  if (model.ranks === 0) {
    return '';
  }
  const said = [trans._n('%1 rank', '%1 ranks', model.ranks)];
  if (model.left !== null) {
    said.push(trans.__('%1 left', duration(model.left, trans)));
  }
  if (model.running > 0) {
    said.push(trans._n('%1 run', '%1 runs', model.running));
  }
  return said.join(', ');
}

/** What a notification says. */
export function sentence(notice: Notice, trans: TranslationBundle): string {
  // A timer that is late by some ms says "5 min" all the same.
  const left = duration(notice.left + 5, trans);
  return notice.job
    ? trans.__('The time of job %1 (mpidist session %2) is over in %3.', notice.job, notice.session, left)
    : trans.__('The time of mpidist session %1 is over in %2.', notice.session, left);
}

/** What a notification says of a run that has ended. */
export function ending(run: RunSeen, trans: TranslationBundle): string {
  const name = run.results.slice(0, 3).join(', ') + (run.results.length > 3 ? ', …' : '');
  if (run.state !== 'failed') {
    const end = trans.__('The run of %1 is %2.', name, run.state);
    return run.failures ? `${end} ${trans._n('%1 part failed.', '%1 parts failed.', run.failures)}` : end;
  }
  return trans.__('The run of %1 has failed: %2', name, run.words);
}
