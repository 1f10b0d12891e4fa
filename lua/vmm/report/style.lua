-- SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
-- The style of the HTML report: light and dark as the reader's system is, narrow and wide. Colours
-- of text have a contrast of at least 4.5 with what they stand on; nothing is told by colour alone.

return [[
:root {
  color-scheme: light dark;
  --page: #ffffff; --panel: #f5f7f9; --inset: #fbfcfd; --edge: #d3d9e0; --strong-edge: #7b8794;
  --text: #1a2129; --dim: #55606c; --link: #0a58a8;
  --pass: #146c2e; --fail: #b01b13; --skip: #75540a; --fail-panel: #fdf0ef; --hit: #fff1b8;
  --now: #ffd24d; --now-text: #1a2129;
  --debug: #5c6773; --notice: #0a58a8; --warning: #7d5000; --error: #b01b13;
  --bar: #4a86c5; --area: #7fb0de; --area-line: #1f65ab; --memory: #b79ad6; --memory-line: #6b3fa0;
  --phase-a: #d6e6f5; --phase-b: #b9d4ee; --mark: #3c4753;
  --mono: ui-monospace, "DejaVu Sans Mono", "Liberation Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11161c; --panel: #1a2129; --inset: #0c1015; --edge: #333d48; --strong-edge: #76828f;
    --text: #e3e8ed; --dim: #a3aeb9; --link: #7db9f5;
    --pass: #6bcb85; --fail: #ff9088; --skip: #e3b95c; --fail-panel: #2c1717; --hit: #4a3d0a;
    --now: #d9a400; --now-text: #11161c;
    --debug: #96a2ae; --notice: #7db9f5; --warning: #e3b95c; --error: #ff9088;
    --bar: #5a9ad8; --area: #2c5c8c; --area-line: #7db9f5; --memory: #5a4180;
    --memory-line: #c3a4ea; --phase-a: #223a52; --phase-b: #2f5274; --mark: #c3ccd5;
  }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 4.5rem; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1.25rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
h1 { font-size: 1.6rem; margin: 1.5rem 0 .25rem; line-height: 1.25; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; overflow-wrap: anywhere; }
h3 { display: inline; font-size: 1rem; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
h4 { font-size: 1rem; margin: 1.25rem 0 .4rem; }
h5 { font-size: .9rem; margin: 1rem 0 .3rem; color: var(--dim); font-weight: 600; }
pre, code { font-family: var(--mono); font-size: 13px; line-height: 1.45; }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }
.skip-link { position: absolute; left: -99rem; }
.skip-link:focus { left: 1rem; top: .5rem; background: var(--page); padding: .5rem; z-index: 9; }
.meta { color: var(--dim); margin: 0; }
.dim { color: var(--dim); }
.gone { display: none !important; }

.counts { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; padding: 0; list-style:
  none; }
.counts li { border: 1px solid var(--edge); border-radius: 8px; padding: .5rem 1rem; min-width:
  6.5rem;
  background: var(--panel); }
.counts b { display: block; font-size: 1.6rem; line-height: 1.2; font-variant-numeric:
  tabular-nums; }
.share { display: flex; height: 10px; border-radius: 5px; overflow: hidden; margin: .5rem 0 1rem;
  border: 1px solid var(--edge); }
.share span { min-width: 3px; }
.share .pass { background: var(--pass); } .share .fail, .share .error { background: var(--fail); }
.share .skip { background: var(--skip); }
b.pass, .badge.pass { color: var(--pass); } b.skip, .badge.skip { color: var(--skip); }
b.fail, .badge.fail, .badge.error { color: var(--fail); }
.notes { border: 1px solid var(--skip); border-radius: 8px; padding: .6rem 1rem; margin: 1rem 0;
  background: var(--panel); }
.notes.incomplete { border-color: var(--fail); background: var(--fail-panel); }
.notes ul { margin: .25rem 0; padding-left: 1.25rem; }
.failures li { margin: .35rem 0; overflow-wrap: anywhere; }
.failures code { display: block; color: var(--dim); }

.toolbar { position: sticky; top: 0; z-index: 5; background: var(--page); display: flex; gap: .5rem;
  flex-wrap: wrap; align-items: center; padding: .6rem 0; border-bottom: 1px solid var(--edge); }
.toolbar[hidden], .tools[hidden] { display: none; }
input, select, button { font: inherit; color: inherit; background: var(--inset);
  border: 1px solid var(--strong-edge); border-radius: 6px; padding: .3rem .6rem; }
button { cursor: pointer; }
button[aria-pressed=true] { background: var(--text); color: var(--page); border-color:
  var(--text); }
.toolbar input { flex: 1 1 14rem; min-width: 8rem; }
.toolbar output { color: var(--dim); min-width: 7rem; font-variant-numeric: tabular-nums; }

.test { border: 1px solid var(--edge); border-radius: 8px; margin: .5rem 0; background:
  var(--page); }
.test.fail, .test.error { border-color: var(--fail); }
.test > summary { padding: .5rem .75rem; border-radius: 8px; display: flex; gap: .6rem;
  align-items: baseline; cursor: pointer; list-style: none; }
.test > summary::-webkit-details-marker { display: none; }
.test > summary::before { content: "\25B8"; color: var(--dim); }
.test[open] > summary::before { content: "\25BE"; }
.test > summary:hover { background: var(--panel); }
.test > summary h3 { flex: 1; }
.badge { flex: none; font-weight: 600; min-width: 5.2rem; }
.time { color: var(--dim); white-space: nowrap; font-variant-numeric: tabular-nums; }
.body { padding: .25rem 1rem 1rem; border-top: 1px solid var(--edge); }
details > summary { cursor: pointer; }
.failure { border-left: 4px solid var(--fail); background: var(--fail-panel); padding: .75rem 1rem;
  margin: 1rem 0 .5rem; border-radius: 0 6px 6px 0; }
.failure .message { font-weight: 600; }
.failure details { margin-top: .6rem; }
.failure details pre { margin-top: .4rem; }

.steps, .steps ol { list-style: none; padding: 0; margin: 0; }
.step { display: grid; gap: 0 .75rem; padding: .2rem 0; align-items: baseline;
  grid-template-columns: 5.5rem 4.5rem 1fr auto; }
.step .at, .step .time { font-size: 13px; }
.step .at { color: var(--dim); text-align: right; font-variant-numeric: tabular-nums; }
.step .kind { color: var(--dim); font-size: 13px; }
.step .what { overflow-wrap: anywhere; white-space: pre-wrap; }
.step .what, .step .detail { padding-left: calc(var(--depth) * 1.25rem); }
.steps ol ol .what { border-left: 2px solid var(--edge); padding-left: calc(var(--depth) *
  1.25rem); }
.step .vm-name { color: var(--link); font-weight: 600; }
.step .lane { grid-column: 3 / -1; height: 4px; border-radius: 2px; background: var(--panel);
  position: relative; margin-top: 2px; }
.step .lane span { position: absolute; top: 0; bottom: 0; border-radius: 2px; min-width: 2px;
  background: var(--bar); }
.step.bad .what, .step.bad .kind { color: var(--fail); }
.step.bad .lane span { background: var(--fail); }
.step .detail { grid-column: 3 / -1; color: var(--dim); }

.vm { border-top: 1px solid var(--edge); margin-top: 1.25rem; }
.console pre { background: var(--inset); border: 1px solid var(--edge); border-radius: 6px;
  padding: .5rem .75rem; max-height: 32rem; overflow: auto; }
.line { display: block; padding-left: 6.2rem; text-indent: -6.2rem; content-visibility: auto;
  contain-intrinsic-size: auto 1.2rem; }
.line i { font-style: normal; color: var(--dim); user-select: none; -webkit-user-select: none; }
.k0, .k1, .k2 { color: var(--error); font-weight: 700; } .k3 { color: var(--error); }
.k4 { color: var(--warning); } .k5 { color: var(--notice); } .k7 { color: var(--debug); }
.gap { display: block; color: var(--skip); border-top: 1px dashed var(--skip); font-style: italic;
  border-bottom: 1px dashed var(--skip); margin: .35rem 0; padding: .15rem 0; text-align: center; }
.tools { display: flex; gap: .5rem; flex-wrap: wrap; align-items: center; margin: .4rem 0; }
.tools output { color: var(--dim); }
.hit { background: var(--hit); }
.now, .now i { background: var(--now); color: var(--now-text) !important; }

.chart { overflow-x: auto; border: 1px solid var(--edge); border-radius: 6px; background:
  var(--inset);
  padding: .5rem; margin: .4rem 0; }
.chart svg { display: block; width: 100%; min-width: 42rem; height: auto; }
svg text { font: 11px system-ui, "DejaVu Sans", sans-serif; fill: var(--text);
  paint-order: stroke; stroke: var(--inset); stroke-width: 3px; }
svg text.in { stroke: none; }
svg .soft { fill: var(--dim); } svg .grid { stroke: var(--edge); } svg .axis { stroke: var(--dim); }
svg .phase-a { fill: var(--phase-a); } svg .phase-b { fill: var(--phase-b); }
svg .call { fill: var(--bar); } svg .call.bad { fill: var(--fail); }
svg .exits { fill: var(--area); fill-opacity: .55; stroke: var(--area-line); stroke-width: 1.5; }
svg .memory { fill: var(--memory); fill-opacity: .5; stroke: var(--memory-line); stroke-width:
  1.5; }
svg line.mark { stroke: var(--mark); stroke-dasharray: 4 3; } svg text.mark { fill: var(--mark); }
svg line.bad { stroke: var(--fail); } svg text.bad { fill: var(--fail); }
table { border-collapse: collapse; margin: .4rem 0; font-size: 14px; }
th, td { text-align: left; padding: .15rem 1.25rem .15rem 0; vertical-align: top; }
th { color: var(--dim); font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
.vm > details { margin-top: .5rem; }
.scroll { overflow-x: auto; }
footer { color: var(--dim); padding: 2rem 1.25rem; }
@media (max-width: 44rem) {
  .step { grid-template-columns: 4.5rem 1fr auto; }
  .step .at { grid-row: 1; } .step .kind { grid-column: 2; grid-row: 1; }
  .step .time { grid-column: 3; grid-row: 1; }
  .step .what, .step .lane, .step .detail { grid-column: 1 / -1; }
  .test > summary { flex-wrap: wrap; } .test > summary h3 { flex-basis: 100%; order: 3; }
  .test > summary .time { margin-left: auto; }
  .counts li { min-width: 5rem; padding: .4rem .7rem; } .body { padding: .25rem .6rem .75rem; }
  header, main, footer { padding-left: .75rem; padding-right: .75rem; }
}
@media print { .console pre { max-height: none; } .toolbar, .tools { display: none !important; } }
]]
