/** The section "Files": the project folder, a place to drop files, and how far they have come. */
import type { TranslationBundle } from '@jupyterlab/translation';
import React from 'react';

import { Button, Problem } from '../button';
import { bytes, named } from '../words';
import { chosen, dropped, IFound } from './dropped';
import { FilesModel, together } from './model';
import type { IItem } from './uploads';

interface IProps {
  model: FilesModel;
  trans: TranslationBundle;
  /** Ask for the project folder. */
  choose(): void;
}

export function FilesView(props: IProps): React.JSX.Element {
  return (
    <div className="jp-mpidist-Files">
      <ProjectFolder {...props} />
      <Drop {...props} />
      <Items {...props} />
      <Unfinished {...props} />
    </div>
  );
}

function ProjectFolder({ model, trans, choose }: IProps): React.JSX.Element {
  const { folder } = model.project;
  return (
    <section aria-label={trans.__('Project folder')}>
      <div className="jp-mpidist-Row">
        <span>
          {trans.__('Project folder:')} <b data-project={folder ?? undefined}>{folder === null ? trans.__('none') : named(folder, trans)}</b>
        </span>
        <span>
          <Button label={trans.__('Choose …')} hint={trans.__('the folder with your code, which sessions keep in step with their ranks')} act={choose} />
          {folder !== null && <Button label={trans.__('None')} hint={trans.__('new sessions keep no folder in step')} act={() => model.project.choose(null)} />}
        </span>
      </div>
      <p className="jp-mpidist-Faint">
        {folder === null
          ? trans.__('Once it is chosen, sessions bring it to their ranks before each run, and results back.')
          : trans.__('Sessions that begin or connect from here bring it to their ranks before each run, and results back.')}
      </p>
    </section>
  );
}

function Drop({ model, trans }: IProps): React.JSX.Element {
  const [over, setOver] = React.useState(false);
  const files = React.useRef<HTMLInputElement>(null);
  const folder = React.useRef<HTMLInputElement>(null);
  React.useEffect(() => folder.current?.setAttribute('webkitdirectory', ''), []);
  const take = (event: React.ChangeEvent<HTMLInputElement>) => {
    model.send(chosen(event.target.files ?? new DataTransfer().files));
    event.target.value = ''; // the same file can be chosen again
  };
  return (
    <section
      aria-label={trans.__('Upload')}
      className={`jp-mpidist-Drop ${over ? 'jp-mod-over' : ''}`}
      onDragOver={event => {
        if (event.dataTransfer.types.includes('Files')) {
          event.preventDefault();
          setOver(true);
        }
      }}
      onDragLeave={() => setOver(false)}
      onDrop={event => {
        event.preventDefault();
        setOver(false);
        const { target } = model; // the file browser may show another folder by the time
        void dropped(event.dataTransfer.items).then((found: IFound) => model.send(found, target));
      }}
    >
      <div>{trans.__('Drop files or folders here; they go to %1.', named(model.target, trans))}</div>
      <div className="jp-mpidist-Buttons">
        <Button label={trans.__('Files …')} hint={trans.__('choose files to upload')} act={() => files.current?.click()} />
        <Button label={trans.__('Folder …')} hint={trans.__('choose a folder to upload')} act={() => folder.current?.click()} />
      </div>
      <input ref={files} type="file" multiple hidden onChange={take} aria-label={trans.__('files to upload')} />
      <input ref={folder} type="file" hidden onChange={take} aria-label={trans.__('a folder to upload')} />
      {model.unread.length > 0 && (
        <Problem words={trans._n('%2 could not be read.', '%2 and others could not be read (%1).', model.unread.length, model.unread[0])} />
      )}
      {model.hidden > 0 && (
        <p className="jp-mpidist-Faint">{trans._n('%1 hidden file was left out.', '%1 hidden files were left out.', model.hidden)}</p>
      )}
    </section>
  );
}

/** More are counted. */
const MOST_ITEMS = 12;

function Items(props: IProps): React.JSX.Element | null {
  const { model, trans } = props;
  const { items } = model.uploads;
  if (!items.length) {
    return null;
  }
  const sum = together(items);
  const left = items.filter(each => each.state !== 'done');
  const shown = [...left, ...items.filter(each => each.state === 'done')].slice(0, MOST_ITEMS);
  return (
    <section aria-label={trans.__('Uploads')}>
      <div className="jp-mpidist-Row">
        <span>
          <span role="status">{trans._n('%2 of %1 file', '%2 of %1 files', sum.files, sum.came)}</span>, {trans.__('%1 of %2', bytes(sum.done), bytes(sum.size))}
        </span>
        {sum.came > 0 && <Button label={trans.__('Clear')} hint={trans.__('list those that have come no more')} act={() => model.uploads.clear()} />}
      </div>
      {left.length > 1 && (
        <div className="jp-mpidist-Buttons">
          <Button label={trans.__('Pause all')} act={() => model.uploads.pause(...left)} />
          <Button label={trans.__('Go on')} hint={trans.__('with all that were paused or failed')} act={() => model.uploads.resume(...left)} />
          <Button label={trans.__('Cancel all')} hint={trans.__('forget what has come of them')} act={() => void model.uploads.cancel(...left)} />
        </div>
      )}
      <ul>
        {shown.map(item => (
          <Item key={item.path} item={item} {...props} />
        ))}
      </ul>
      {items.length > shown.length && <p>{trans.__('and %1 more', items.length - shown.length)}</p>}
    </section>
  );
}

function Item({ item, model, trans }: IProps & { item: IItem }): React.JSX.Element {
  const { uploads } = model;
  const about = item.path;
  const cancel = <Button label={trans.__('Cancel')} about={about} hint={trans.__('forget what has come of it')} act={() => void uploads.cancel(item)} />;
  const again = <Button accept label={trans.__('Go on')} about={about} act={() => uploads.resume(item)} />;
  const moves = item.state === 'sends' || item.state === 'retries' || item.state === 'waits';
  return (
    <li className="jp-mpidist-Card" data-upload={item.path} data-state={item.state}>
      <div className="jp-mpidist-Row">
        <b>{item.path}</b>
        <span>{item.state === 'done' ? bytes(item.size) : trans.__('%1 of %2', bytes(item.done), bytes(item.size))}</span>
      </div>
      {item.state !== 'done' && <progress value={item.size ? item.done / item.size : 0} max={1} aria-label={trans.__('%1, part that has come', item.path)} />}
      {item.state === 'failed' && <Problem words={item.words} />}
      {item.state === 'retries' && <div className="jp-mpidist-Faint">{trans.__('%1 It goes on by itself.', item.words)}</div>}
      {item.state === 'exists' && <Problem words={trans.__('A file of that name is there.')} />}
      {item.state !== 'done' && (
        <div className="jp-mpidist-Buttons">
          {moves && <Button label={trans.__('Pause')} about={about} act={() => uploads.pause(item)} />}
          {(item.state === 'paused' || item.state === 'failed') && again}
          {item.state === 'exists' && <Button label={trans.__('Replace')} about={about} act={() => uploads.replace(item)} />}
          {cancel}
        </div>
      )}
    </li>
  );
}

/** What was interrupted with its page. */
function Unfinished({ model, trans }: IProps): React.JSX.Element | null {
  const found = model.uploads.unfinished;
  return found.length === 0 ? null : (
    <section aria-label={trans.__('Interrupted uploads')}>
      <h3>{trans.__('Interrupted uploads')}</h3>
      <ul>
        {found.slice(0, MOST_ITEMS).map(each => (
          <li key={each.id} className="jp-mpidist-Card" data-unfinished={each.path}>
            <div className="jp-mpidist-Row">
              <b>{each.path}</b>
              <span>{trans.__('%1 of %2', bytes(each.done), bytes(each.size))}</span>
            </div>
            <div className="jp-mpidist-Faint">{trans.__('Drop or choose the same file again: it goes on where it was.')}</div>
            {each.moving ? (
              <div className="jp-mpidist-Faint">{trans.__('A piece has just come: another page may be sending it.')}</div>
            ) : (
              <div className="jp-mpidist-Buttons">
                <Button
                  label={trans.__('Discard')}
                  about={each.path}
                  hint={trans.__('forget what has come of it')}
                  act={() => void model.uploads.discard(each.id)}
                />
              </div>
            )}
          </li>
        ))}
      </ul>
      {found.length > MOST_ITEMS && <p>{trans.__('and %1 more', found.length - MOST_ITEMS)}</p>}
    </section>
  );
}
