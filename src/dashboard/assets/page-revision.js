// One revision: what it changed, how far it is from now, and the way back to it.

import { change, get } from './api.js';
import { h, show } from './dom.js';
import { confirm } from './dialog.js';
import { diffView } from './diff.js';
import { many, when } from './format.js';
import { go } from './router.js';
import { button, failure, head, panel, skeleton, toast } from './widgets.js';

export default async function revision(ctx) {
  const { number } = ctx.params;
  const title = `Revision ${number}`;
  const back = ['/dashboard/history', 'History'];
  ctx.title(title);
  const load = async () => {
    show(ctx.root, head(title, { back }), skeleton());
    try {
      const [detail, since] = await Promise.all([
        get(`revisions/${encodeURIComponent(number)}`),
        get('compare', { from: number }),
      ]);
      if (!ctx.left()) draw(detail, since);
    } catch (error) {
      show(ctx.root, head(title, { back }), failure(error, load));
    }
  };
  const rollBack = async () => {
    try {
      const plan = await change('POST', `revisions/${number}/rollback`, undefined, { dry_run: true });
      if (!plan.changes.length) {
        toast('Nothing differs: that is what is served now', 'info');
        return;
      }
      const sure = await confirm({
        title: `Go back to revision ${number}?`,
        danger: true,
        yes: 'Go back',
        text: `This changes ${many(plan.changes.length, 'document')} as one new revision. Keys stay as they are: what was revoked stays revoked.`,
        more: diffView(plan.diff),
      });
      if (!sure) return;
      const done = await change('POST', `revisions/${number}/rollback`);
      toast(`Gone back to revision ${number}, as revision ${done.revision}`);
      go(`/dashboard/history/${done.revision}`);
    } catch (error) {
      toast(error.message, 'bad');
    }
  };
  const draw = ({ revision: made, changes, diff }, since) =>
    show(
      ctx.root,
      head(title, {
        back,
        lead: [h('b', null, made.author), `by ${made.via}, ${when(made.at_ms)}`, made.note && `“${made.note}”`],
        actions: button('Go back to this', rollBack, {
          role: 'editor',
          test: 'rollback',
          disabled: since.changes.length === 0,
          why: 'This is what is served now.',
        }),
      }),
      panel('What it changed', { hint: many(changes.length, 'document') }, diffView(diff, 'revision-diff')),
      panel(
        'What has changed since',
        { hint: since.changes.length ? `from revision ${since.from} to ${since.to}` : null },
        diffView(since.diff),
      ),
    );
  await load();
}
