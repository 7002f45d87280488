(() => {
  'use strict';
  const byId = id => document.getElementById(id);
  const tools = byId('tools');
  if (!tools) return;
  const data = JSON.parse(byId('data').textContent);
  const kept = 200; // names shown at once

  // A list of names is pairs of indices: from, and up to but not with.
  const lists = data.lists.map(text => text === '' ? [] : text.split(',').flatMap(range => {
    const [first, last] = range.split('-').map(Number);
    return [first, (last === undefined ? first : last) + 1];
  }));
  const names = { sites: data.sites, hosts: data.hosts };
  const lower = { sites: data.sites.map(n => n.toLowerCase()), hosts: data.hosts.map(n => n.toLowerCase()) };
  const groups = [...document.querySelectorAll('details.change')].map((el, i) => ({
    el, sites: lists[data.groups[i][0]], hosts: lists[data.groups[i][1]], text: null,
    kind: el.dataset.kind, layer: el.dataset.layer, danger: el.classList.contains('dangerous'),
  }));
  const sections = [...document.querySelectorAll('section.kind')].map(el => ({ el, number: el.querySelector('.number') }));

  // sums[i] is how many of the first i names are wanted.
  const sums = (list, wanted) => {
    const out = new Uint32Array(list.length + 1);
    for (let i = 0; i < list.length; i++) out[i + 1] = out[i] + (wanted(list[i], i) ? 1 : 0);
    return out;
  };
  const any = (list, sum) => {
    for (let i = 0; i < list.length; i += 2) if (sum[list[i + 1]] > sum[list[i]]) return true;
    return false;
  };
  const textOf = g => g.text ??= [g.el.querySelector('summary'), ...g.el.querySelectorAll('.body > p:not(.link), .fields, .causes')]
    .map(el => el.textContent).join('\n').toLowerCase();

  const whole = byId('count').textContent;
  let words = [];
  const value = id => byId(id) ? byId(id).value : '';

  const siteFilter = () => {
    const profile = value('profile'), place = value('place');
    if (!profile && !place) return null;
    return sums(data.sites, (_, i) => {
      const at = data.places[data.where[i][1]];
      return (!profile || data.profiles[data.where[i][0]] === profile) && (!place || at === place || at.startsWith(place + '/'));
    });
  };

  const update = () => {
    words = byId('search').value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.map(word => ({
      word, sites: sums(lower.sites, n => n.includes(word)), hosts: sums(lower.hosts, n => n.includes(word)),
    }));
    const kind = value('kind'), layer = value('layer'), danger = byId('danger').checked, within = siteFilter();
    let shown = 0;
    const edges = new Int32Array(data.hosts.length + 1);
    for (const g of groups) {
      const ok = (!kind || g.kind === kind) && (!layer || g.layer === layer) && (!danger || g.danger) && (!within || any(g.sites, within)) &&
        found.every(f => textOf(g).includes(f.word) || any(g.sites, f.sites) || any(g.hosts, f.hosts));
      if (g.el.hidden === ok) g.el.hidden = !ok;
      if (!ok) continue;
      shown++;
      for (let i = 0; i < g.hosts.length; i += 2) { edges[g.hosts[i]]++; edges[g.hosts[i + 1]]--; }
      if (g.el.open) showNames(g);
    }
    let hosts = 0;
    for (let i = 0, depth = 0; i < data.hosts.length; i++) { depth += edges[i]; if (depth > 0) hosts++; }
    for (const s of sections) {
      const left = s.el.querySelectorAll('details.change:not([hidden])').length;
      s.el.hidden = left === 0;
      s.number.textContent = left;
    }
    byId('none').hidden = shown > 0;
    byId('count').textContent = (shown === groups.length ? whole : shown + ' of ' + groups.length + ' shown') + ', for ' + hosts + (hosts === 1 ? ' host' : ' hosts');
  };

  // showNames fills the lists of an open change: what was searched for comes first.
  const showNames = (g, all = false) => {
    for (const box of g.el.querySelectorAll('.names')) {
      const of = box.dataset.of, hits = [], rest = [];
      for (let i = 0; i < g[of].length; i += 2) {
        for (let n = g[of][i]; n < g[of][i + 1]; n++) (words.some(w => lower[of][n].includes(w)) ? hits : rest).push(names[of][n]);
      }
      const most = all ? Infinity : kept, p = box.querySelector('p'), nodes = [];
      for (const name of hits.slice(0, most)) {
        const mark = document.createElement('mark');
        mark.textContent = name;
        if (nodes.length) nodes.push(', ');
        nodes.push(mark);
      }
      const plain = rest.slice(0, Math.max(0, most - hits.length)).join(', ');
      if (plain) nodes.push((nodes.length ? ', ' : '') + plain);
      p.replaceChildren(...nodes);
      p.tabIndex = all ? 0 : -1; // a box that scrolls can be scrolled by keys
      box.querySelector('button')?.remove();
      const known = hits.length + rest.length, left = known - Math.min(known, most), lost = box.dataset.total - known;
      if (left > 0) {
        const button = document.createElement('button');
        button.type = 'button';
        button.textContent = 'Show all ' + known;
        button.onclick = () => { showNames(g, true); p.focus(); };
        box.append(button);
      }
      if (lost > 0) p.append(' and ' + lost + ' more that this page has no room for');
    }
  };

  const openLinked = () => {
    const el = location.hash ? byId(decodeURIComponent(location.hash.slice(1))) : null;
    if (!el || !el.classList.contains('change')) return;
    if (el.hidden) { tools.reset(); update(); }
    el.open = true;
    el.scrollIntoView();
  };

  let due = 0;
  const soon = () => { cancelAnimationFrame(due); due = requestAnimationFrame(update); };
  tools.addEventListener('input', soon);
  tools.addEventListener('reset', () => setTimeout(update));
  tools.addEventListener('submit', event => event.preventDefault());
  for (const g of groups) g.el.addEventListener('toggle', () => { if (g.el.open) showNames(g); });
  const setAll = open => { for (const g of groups) if (!g.el.hidden) g.el.open = open; };
  byId('open').onclick = () => setAll(true);
  byId('close').onclick = () => setAll(false);
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === '/' && !typing) {
      event.preventDefault();
      byId('search').focus();
    } else if (event.key === 'Escape') {
      byId('search').value = '';
      byId('search').blur();
      update();
    }
  });
  let closed = [];
  addEventListener('beforeprint', () => { closed = groups.filter(g => !g.el.open && !g.el.hidden); for (const g of closed) g.el.open = true; });
  addEventListener('afterprint', () => { for (const g of closed) g.el.open = false; });
  addEventListener('hashchange', openLinked);
  tools.hidden = false;
  update();
  openLinked();
})();
