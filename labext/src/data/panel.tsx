/** What is in a data file. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import type { Wire } from '../asking';
import { Button, Problem } from '../button';
import { bytes } from '../words';
import { short } from './code';
import { Glance } from './glance';
import type { DataModel, Placed } from './model';

export interface IProps {
  model: DataModel;
  trans: TranslationBundle;
  use(column: Wire['Column'] | null): void;
}

export function DataView(props: IProps): React.JSX.Element {
  const { model, trans, use } = props;
  const contents = model.contents;
  return (
    <div className="jp-mpidist-Data">
      <header className="jp-mpidist-Row">
        <div>
          <b>{model.path}</b>
          {contents && <div className="jp-mpidist-Faint">{about(contents, trans)}</div>}
        </div>
        <div className="jp-mpidist-Buttons">
          <Button label={trans.__('Look again')} hint={trans.__('reads the file as it is now')} act={() => void model.load()} />
          <Button
            accept
            label={trans.__('Use in notebook')}
            hint={trans.__('puts a cell that opens it into the current notebook')}
            disabled={!contents}
            act={() => use(null)}
          />
        </div>
      </header>
      {model.problem && <Problem words={model.problem} />}
      {!contents && model.busy('contents') && <p>{trans.__('Looking into the file …')}</p>}
      {model.busy('page') && model.page === null && <p>{trans.__('Drawing the results …')}</p>}
      {model.page !== null && <iframe className="jp-mpidist-Page" sandbox="" srcDoc={model.page} title={trans.__('saved results')} />}
      {contents && model.page === null && <Objects {...props} />}
      {contents?.objects.length === 0 && <p>{trans.__('There is nothing in it.')}</p>}
      {contents !== null && contents.more > 0 && <p>{trans._n('and %1 more object', 'and %1 more objects', contents.more)}</p>}
      {model.tree !== null && <Columns {...props} />}
    </div>
  );
}

function about(contents: Wire['Contents'], trans: TranslationBundle): string {
  const size = contents.size === null ? '' : bytes(contents.size);
  const compression = contents.compression && trans.__('compression %1', contents.compression);
  return [contents.format, size, compression].filter(Boolean).join(', ');
}

/** Move the focus between the rows of the tree; fold groups. */
function keys(event: React.KeyboardEvent<HTMLElement>, model: DataModel): void {
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>('[role=treeitem]')];
  const at = rows.indexOf(document.activeElement as HTMLElement);
  const name = rows[at]?.dataset['name'] ?? '';
  const group = rows[at]?.hasAttribute('aria-expanded');
  const steps: Record<string, () => void> = {
    ArrowDown: () => rows[at + 1]?.focus(),
    ArrowUp: () => rows[at - 1]?.focus(),
    Home: () => rows[0]?.focus(),
    End: () => rows[rows.length - 1]?.focus(),
    ArrowRight: () => group && model.closed.has(name) && model.fold(name),
    ArrowLeft: () => group && !model.closed.has(name) && model.fold(name),
    Enter: () => rows[at]?.click(),
    ' ': () => rows[at]?.click()
  };
  if (at >= 0 && event.key in steps) {
    event.preventDefault();
    steps[event.key]();
  }
}

function Objects({ model, trans }: IProps): React.JSX.Element {
  return (
    <ul role="tree" aria-label={trans.__('objects in the file')} className="jp-mpidist-Objects" onKeyDown={event => keys(event, model)}>
      {model.shown.map((each, at) => (
        <Row key={each.object.name} placed={each} model={model} trans={trans} first={at === 0} />
      ))}
    </ul>
  );
}

function Row({ placed, model, trans, first }: { placed: Placed; model: DataModel; trans: TranslationBundle; first: boolean }): React.JSX.Element {
  const { object, group } = placed;
  const open = !model.closed.has(object.name);
  const facts = [
    object.kind,
    object.type,
    object.entries !== null && trans._n('%1 entry', '%1 entries', object.entries).replace(String(object.entries), short(object.entries)),
    object.tree && object.columns !== null && trans._n('%1 column', '%1 columns', object.columns),
    object.stored > 0 && bytes(object.stored),
    object.stored > 0 && object.raw > object.stored && trans.__('%1 unpacked', bytes(object.raw)),
    object.compression === 'none' ? trans.__('not compressed') : object.compression
  ];
  const act = () => (object.tree ? void model.choose(object.name) : group ? model.fold(object.name) : undefined);
  return (
    <li
      role="treeitem"
      aria-level={placed.within.length + 1}
      aria-expanded={group ? open : undefined}
      aria-selected={object.tree ? model.tree === object.name : undefined}
      data-name={object.name}
      tabIndex={first || model.tree === object.name ? 0 : -1}
      style={{ paddingLeft: 8 + 16 * placed.within.length }}
      onClick={act}
    >
      <span>{group ? (open ? '▾ ' : '▸ ') : ''}</span>
      {object.tree ? <b>{placed.label || '/'}</b> : <span>{placed.label || '/'}</span>}
      <span className="jp-mpidist-Faint"> {facts.filter(Boolean).join(', ')}</span>
    </li>
  );
}

function Columns(props: IProps): React.JSX.Element {
  const { model, trans, use } = props;
  const left = model.total - model.columns.length;
  return (
    <section aria-label={trans.__('Columns')} aria-busy={model.busy('columns')}>
      <h3>{trans.__('Columns of %1 with %2 events', model.tree || '/', short(model.entries))}</h3>
      <input
        type="search"
        className="jp-mod-styled"
        aria-label={trans.__('search columns by name or type')}
        placeholder={trans.__('search columns by name or type')}
        value={model.find}
        maxLength={200}
        onChange={event => model.search(event.target.value)}
      />
      {model.column && (
        <div className="jp-mpidist-Look" aria-live="polite">
          {model.busy('glance') && <p>{trans.__('Reading %1 …', model.column.name)}</p>}
          {model.glance && <Glance glance={model.glance} column={model.column} trans={trans} />}
          {model.glance && <Button label={trans.__('Use column in notebook')} act={() => use(model.column)} />}
        </div>
      )}
      <table>
        <thead>
          <tr>
            <th>{trans.__('column')}</th>
            <th>{trans.__('type')}</th>
            <th>{trans.__('in the file')}</th>
            <th>{trans.__('unpacked')}</th>
          </tr>
        </thead>
        <tbody>
          {model.columns.map(column => (
            <tr key={column.name} data-column={column.name} className={column === model.column ? 'jp-mod-selected' : ''}>
              <td>
                {column.access ? (
                  <button className="jp-mpidist-Link" title={trans.__('the first values of %1', column.name)} onClick={() => void model.look(column)}>
                    {column.access.replace(/^\./, '')}
                  </button>
                ) : (
                  column.name
                )}
              </td>
              <td>{column.problem ? <em>{column.problem}</em> : column.type}</td>
              <td>{bytes(column.stored)}</td>
              <td>{bytes(column.raw)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {model.total === 0 && !model.busy('columns') && !model.problem && <p>{trans.__('No column is called so.')}</p>}
      {left > 0 && <Button label={trans._n('Show more of %1 column', 'Show more of %1 columns', left)} disabled={model.busy('columns')} act={() => void model.more()} />}
    </section>
  );
}
