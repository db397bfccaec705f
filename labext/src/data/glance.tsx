/** A column at a glance: its values as bars. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { Wire } from '../asking';
import { short, trimmed } from './code';

const [WIDTH, HEIGHT] = [480, 160];

interface IProps {
  glance: Wire['Glance'];
  column: Wire['Column'];
  trans: TranslationBundle;
}

export function Glance(props: IProps): React.JSX.Element {
  const { glance, column, trans } = props;
  const outside = glance.labels.length
    ? [glance.above > 0 && trans.__('%1 others', short(glance.above))]
    : [glance.below > 0 && trans.__('%1 below', short(glance.below)), glance.above > 0 && trans.__('%1 above', short(glance.above))];
  const numbers = [
    trans.__('%1 values', short(glance.values)),
    glance.mean !== null && trans.__('mean %1', trimmed(glance.mean)),
    glance.spread !== null && trans.__('standard deviation %1', trimmed(glance.spread)),
    ...outside,
    glance.missing > 0 && trans.__('%1 missing', short(glance.missing))
  ];
  const part =
    glance.entries < glance.total
      ? trans.__('the first %1 of %2 events', short(glance.entries), short(glance.total))
      : trans.__('all %1 events', short(glance.total));
  return (
    <figure className="jp-mpidist-Glance">
      <figcaption>
        <b>{column.access.replace(/^\./, '') || column.name}</b> {trans.__('in %1', part)}
      </figcaption>
      {glance.labels.length ? <Labels {...props} /> : <Bars {...props} />}
      <p className="jp-mpidist-Faint">{numbers.filter(Boolean).join(', ')}</p>
    </figure>
  );
}

function Bars({ glance, trans }: IProps): React.JSX.Element {
  const { counts, edges } = glance;
  const most = Math.max(1, ...counts);
  const width = WIDTH / Math.max(1, counts.length);
  const bars = counts.map((count, at) => {
    const height = (HEIGHT * count) / most;
    const range = `${trimmed(edges[at])} – ${trimmed(edges[at + 1])}: ${count}`;
    return (
      <rect key={at} x={at * width} y={HEIGHT - height} width={width} height={height}>
        <title>{range}</title>
      </rect>
    );
  });
  const [low, high] = [edges[0], edges[edges.length - 1]];
  const words = trans.__('histogram from %1 to %2, with at most %3 values in a bin', trimmed(low), trimmed(high), short(most));
  return (
    <div className="jp-mpidist-Plot">
      <div className="jp-mpidist-Axis" title={trans.__('values in a bin')}>
        <span>{short(most)}</span>
        <span>0</span>
      </div>
      <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={words}>
        {bars}
      </svg>
      <div className="jp-mpidist-Axis">
        <span>{trimmed(low)}</span>
        <span>{trimmed((low + high) / 2)}</span>
        <span>{trimmed(high)}</span>
      </div>
    </div>
  );
}

function Labels({ glance }: IProps): React.JSX.Element {
  const most = Math.max(1, ...glance.counts);
  return (
    <table>
      <tbody>
        {glance.labels.map((label, at) => (
          <tr key={label}>
            <td>{label}</td>
            <td>{glance.counts[at]}</td>
            <td>
              <progress value={glance.counts[at]} max={most} aria-hidden />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
