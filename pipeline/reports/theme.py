"""One look for every chart and the page: palette, font and style sheet."""

__all__ = [
    "BAD",
    "FADED",
    "FONT",
    "GOOD",
    "GRID",
    "INK",
    "MUTED",
    "STRATEGY_COLORS",
    "STRATEGY_DASHES",
    "STYLE_SHEET",
    "TWO_SIDED_95",
]

INK = "#1f2933"
MUTED = "#5f6c7b"
FADED = "#9aa5b1"
GRID = "#e6e9ee"
GOOD = "#12805c"
BAD = "#c03a2b"
# Far apart for readers without one kind of cones, too.
STRATEGY_COLORS = (
    *("#1f5fa8", "#e07b1c", "#a06fd6", "#13705f"),
    *("#e0609a", "#7a6420", "#8ecbf5", "#2b2f3a"),
    *("#64d480", "#6e1414", "#2420d8", "#d2c24a"),
)
# Each four are told from the others by more than colour.
STRATEGY_DASHES = ("solid",) * 4 + ("dash",) * 4 + ("dot",) * 4

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
TWO_SIDED_95 = 1.96
"""Standard errors that a normal 95 % interval reaches to either side."""

STYLE_SHEET = f"""
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: #f5f6f8; color: {INK}; font: 16px/1.55 {FONT}; }}
main, header, footer {{ max-width: 1180px; margin: 0 auto; padding: 0 24px; }}
header {{ padding-top: 28px; }}
h1 {{ font-size: 1.75rem; line-height: 1.25; margin: 0 0 4px; }}
h2 {{ font-size: 1.25rem; margin: 0 0 4px; }}
h3 {{ font-size: 1rem; margin: 20px 0 4px; }}
p {{ margin: 0 0 12px; max-width: 78ch; }}
.lead, .note {{ color: {MUTED}; }}
.note {{ font-size: .875rem; }}
p.note, p.lead {{ max-width: 110ch; }}
section {{ background: #fff; border: 1px solid {GRID}; border-radius: 10px; padding: 22px 24px; margin: 18px 0;
  scroll-margin-top: 60px; }}
nav {{ display: flex; flex-wrap: wrap; gap: 4px 18px; padding: 12px 0 0; font-size: .9rem; }}
nav a {{ color: {STRATEGY_COLORS[0]}; text-decoration: none; }}
nav a:hover {{ text-decoration: underline; }}
.simulated {{ position: sticky; top: 0; z-index: 20; background: #fff3cd; color: #6b4e00; text-align: center;
  border-bottom: 1px solid #ecd58a; padding: 7px 16px; font-size: .9rem; }}
.simulated strong {{ letter-spacing: .06em; }}
.verdict {{ border-left: 4px solid; padding: 2px 0 2px 16px; margin: 14px 0; }}
.verdict p {{ margin: 0; }}
.verdict .says {{ font-size: 1.12rem; font-weight: 600; }}
.scroll {{ overflow-x: auto; }}
.scroll.rows {{ background: linear-gradient(90deg, #fff 30%, #fff0) 0 0 / 40px 100% no-repeat local,
  linear-gradient(270deg, #fff 30%, #fff0) 100% 0 / 40px 100% no-repeat local,
  linear-gradient(90deg, #1f293326, #1f293300) 0 0 / 12px 100% no-repeat scroll,
  linear-gradient(270deg, #1f293326, #1f293300) 100% 0 / 12px 100% no-repeat scroll; }}
table {{ border-collapse: collapse; width: 100%; font-size: .925rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 6px 12px 6px 0; text-align: left; vertical-align: top; border-bottom: 1px solid {GRID}; }}
thead th {{ font-weight: 600; border-bottom: 2px solid {GRID}; vertical-align: bottom; }}
tbody th {{ font-weight: 500; white-space: nowrap; padding-right: 20px; }}
tbody th.long {{ white-space: normal; }}
td.number, th.number {{ text-align: right; white-space: nowrap; }}
td.interval, th.interval {{ color: {MUTED}; white-space: nowrap; font-size: .86rem; padding-right: 16px; }}
td.both, th.both {{ text-align: right; padding-right: 10px; overflow-wrap: break-word; }}
th.book {{ font-size: .86rem; }}
td.both .interval {{ display: block; color: {MUTED}; font-size: .8rem; line-height: 1.35; }}
td.both .interval span {{ white-space: nowrap; }}
table.even {{ table-layout: fixed; }}
table.even thead th:first-child {{ width: var(--first); }}
table.even tbody th {{ white-space: normal; padding-right: 10px; }}
.overall {{ font-size: 1.12rem; font-weight: 600; margin-top: 6px; }}
.verdicts {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 0 28px; }}
.verdicts .says {{ font-size: 1rem; }}
tr.part th, tr.part td {{ border-bottom-color: #f2f4f7; }}
tr.part th {{ padding-left: 18px; font-weight: 400; color: {MUTED}; }}
tr.group th {{ padding-top: 16px; color: {MUTED}; font-size: .8rem; text-transform: uppercase; letter-spacing: .05em; }}
.months th, .months td {{ padding: 5px 7px; }} .months td {{ font-size: .86rem; }}
.months td.total {{ font-weight: 600; }} .months tbody th {{ min-width: 0; padding-right: 12px; }}
.heat table {{ width: auto; }} .heat th, .heat td {{ padding: 6px 10px; }}
.heat td {{ text-align: center; min-width: 92px; border: 2px solid #fff; }}
.heat th.heads {{ text-align: center; max-width: 150px; }}
.heat thead th:first-child, .heat tbody th {{ padding-left: 0; }}
.heat td .interval {{ color: {MUTED}; font-size: .8rem; line-height: 1.3; }}
.picker {{ display: flex; flex-wrap: wrap; gap: 6px 8px; align-items: center; margin: 8px 0; }}
.picker select, .picker button {{ font: inherit; font-size: .9rem; padding: 3px 8px; }}
.picker span {{ font-weight: 600; }}
.facts {{ display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 12px 0 0; }} .facts div {{ display: flex; gap: 8px; }}
section .facts {{ margin-bottom: 10px; }}
.facts dt {{ color: {MUTED}; }} .facts dd {{ margin: 0; font-weight: 600; }}
tbody th .says {{ font-weight: 400; font-size: .86rem; color: {MUTED}; }}
.key {{ display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }}
.plot {{ width: 100%; }}
.wide {{ min-width: 880px; }}
.grid {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(var(--least), 100%), 1fr)); gap: 4px 20px; }}
.session {{ width: 100%; height: 240px; }}
.grid figure {{ margin: 0; min-width: 0; }}
figcaption {{ text-align: center; font-size: .875rem; padding-top: 8px; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: .84rem; }}
details {{ margin-top: 12px; }}
summary {{ cursor: pointer; font-weight: 600; }}
ul {{ margin: 0 0 12px; padding-left: 20px; max-width: 78ch; }}
li {{ margin: 3px 0; }}
footer {{ color: {MUTED}; font-size: .85rem; padding-bottom: 40px; }}
@media (max-width: 640px) {{ main, header, footer {{ padding: 0 12px; }} header {{ padding-top: 18px; }}
  section {{ padding: 16px 14px; scroll-margin-top: 64px; }}
  .simulated {{ font-size: .8rem; padding: 6px 10px; }} .simulated .more {{ display: none; }}
  table {{ font-size: .84rem; }} th, td {{ padding-right: 10px; }}
  tbody th, tbody th.long {{ white-space: normal; min-width: 112px; padding-right: 10px;
    position: sticky; left: 0; background: #fff; }}
  table.even thead th:first-child {{ width: 130px; }}
  .months tbody th {{ min-width: 0; }}
  tr.part th {{ padding-left: 10px; }} tr.group th {{ position: static; }}
  td.interval, th.interval {{ font-size: .8rem; padding-right: 12px; }} }}
@media print {{ body {{ background: #fff; }} .simulated {{ position: static; }} section {{ break-inside: avoid; }} }}
"""
