/** The section "Runs": how far each is, and what can be done with it. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { Wire } from '../asking';
import { Button, Problem } from '../button';
import { duration } from '../resources/model';
import { Act, acts, count, outline, RunsModel } from './model';

export interface IProps {
  model: RunsModel;
  trans: TranslationBundle;
  /** Show the cell in which a run is displayed. */
  jump(notebook: string, run: Wire['Run']): Promise<void>;
  /** Show the live view of a run in a tab of its own. */
  open(notebook: string, run: Wire['Run']): Promise<void>;
  /** Show a file of results. */
  show(path: string): void;
}

export function RunsView(props: IProps): React.JSX.Element {
  const { model, trans } = props;
  const kernels = model.kernels;
  return (
    <div className="jp-mpidist-Runs">
      {model.problem && <Problem words={model.problem} />}
      {kernels === null && !model.problem && <p>{trans.__('Looking …')}</p>}
      {kernels?.every(kernel => !kernel.runs.length && !kernel.problem) && (
        <p className="jp-mpidist-Faint">{trans.__('No kernel has runs.')}</p>
      )}
      {kernels?.map(kernel => (
        <section key={`${kernel.pid} ${kernel.ended}`} aria-label={name(kernel, trans)}>
          <h3>{name(kernel, trans)}</h3>
          {kernel.problem && <Problem words={kernel.problem} />}
          <ul>
            {kernel.runs.map(run => (
              <RunCard key={run.id} run={run} kernel={kernel} {...props} />
            ))}
          </ul>
        </section>
      ))}
      <p role="status" className="jp-mpidist-Words">
        {model.words}
      </p>
    </div>
  );
}

function name(kernel: Wire['Kernel'], trans: TranslationBundle): string {
  const known = kernel.notebook || trans.__('process %1', kernel.pid);
  return kernel.ended ? trans.__('%1 (its kernel has ended)', known) : known;
}

function RunCard({ run, kernel, model, trans, jump, open, show }: IProps & { run: Wire['Run']; kernel: Wire['Kernel'] }): React.JSX.Element {
  const labels: Record<Act, string> = { pause: trans.__('Pause'), resume: trans.__('Resume'), stop: trans.__('Stop') };
  const part = run.total ? run.done / run.total : 0;
  const place = run.cell && kernel.notebook;
  return (
    <li className="jp-mpidist-Card" data-run={run.id}>
      <div className="jp-mpidist-Row">
        <b className="jp-mpidist-Names">{run.results.join(', ')}</b>
        <span className={`jp-mpidist-State jp-mod-${run.state}`}>{run.state}</span>
      </div>
      <Sparkline run={run} trans={trans} />
      <progress value={part} max={1} aria-label={trans.__('events done')} />
      <div>
        {run.about
          ? trans.__('%1 of about %2 events', count(run.done), count(run.total))
          : trans.__('%1 of %2 events', count(run.done), count(run.total))}
        {!run.ended && run.rate > 0 && `, ${trans.__('%1/s', count(run.rate))}`}
        {run.eta !== null && `, ${trans.__('%1 left', duration(run.eta))}`}
        {run.failures > 0 && `, ${trans._n('%1 failure', '%1 failures', run.failures)}`}
      </div>
      {run.verdict && <div className="jp-mpidist-Faint">{run.verdict}</div>}
      {run.words && <Problem words={run.words} />}
      <div className="jp-mpidist-Buttons">
        {(kernel.ended ? [] : acts(run.state)).map(act => (
          <Button key={act} label={labels[act]} act={() => void model.act(kernel.pid, run.id, act)} />
        ))}
        {place && <Button label={trans.__('Cell')} hint={trans.__('the cell that shows it')} act={() => void jump(kernel.notebook, run)} />}
        {place && run.model && (
          <Button label={trans.__('View')} hint={trans.__('its live view in a tab of its own')} act={() => void open(kernel.notebook, run)} />
        )}
        {run.files?.map(file => (
          <Button key={file} label={file.split('/').pop() || file} hint={trans.__('shows the results in %1', file)} act={() => show(file)} />
        ))}
        {kernel.ended && <Button label={trans.__('Forget')} hint={trans.__('lists it no more; files stay')} act={() => void model.forget(run.id)} />}
      </div>
    </li>
  );
}

const WIDTH = 200;
const HEIGHT = 32;

function Sparkline({ run, trans }: { run: Wire['Run']; trans: TranslationBundle }): React.JSX.Element | null {
  if (!run.sparkline.length) {
    return null;
  }
  return (
    <svg
      className="jp-mpidist-Sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={trans.__('histogram %1', run.sparkline_of)}
    >
      <title>{run.sparkline_of}</title>
      <path d={outline(run.sparkline, WIDTH, HEIGHT)} />
    </svg>
  );
}
