"""A chart of any session, chosen on the page."""

from pipeline.reports.inputs import ReportInputs
from pipeline.reports.markup import note
from pipeline.reports.section import Section
from pipeline.reports.session_charts import CANDLES, CHART_HEIGHT, SESSIONS

__all__ = ["SECTION"]

_SCRIPT = """
sessionCharts.then(({data,draw})=>{
const days=document.getElementById('replay-session'),books=document.getElementById('replay-strategy');
const chart=document.getElementById('replay-chart'),result=document.getElementById('replay-result');
data.sessions.forEach((day,i)=>days.add(new Option(day,i)));
data.strategies.forEach((name,i)=>books.add(new Option(name,i)));
const show=()=>{result.textContent=draw(chart,+days.value,+books.value,false);};
const move=by=>{const to=+days.value+by;if(to>=0&&to<data.sessions.length){days.value=to;show();}};
const jump=by=>{const own=new Set(data.trades[+books.value].map(t=>t[0]));
 for(let to=+days.value+by;to>=0&&to<data.sessions.length;to+=by)if(own.has(to)){days.value=to;show();return;}};
[['replay-back',()=>move(-1)],['replay-on',()=>move(1)],['replay-trade-back',()=>jump(-1)],['replay-trade-on',()=>jump(1)]]
 .forEach(([name,act])=>document.getElementById(name).addEventListener('click',act));
days.addEventListener('change',show);books.addEventListener('change',show);
days.value=data.sessions.length-1;jump(-1);show();
}).catch(()=>{document.getElementById('replay-result').textContent='This browser cannot unpack the sessions.';});
"""
_BUTTONS = {"trade-back": "« trade", "back": "‹ session", "on": "session ›", "trade-on": "trade »"}


def _html(inputs: ReportInputs) -> str:
    if inputs.profiles.empty:
        return note("No session with volume.")
    text = (
        "Any session in exchange time: candles, profile and levels of the session before, and the trades of the "
        f"backtest chosen (up to {CANDLES} candles per session; the latest {SESSIONS:,} sessions)."
    )
    buttons = "".join(f'<button type="button" id="replay-{name}">{words}</button>' for name, words in _BUTTONS.items())
    return (
        f'{note(text)}<div class="picker"><select id="replay-session" aria-label="Session"></select>'
        f'<select id="replay-strategy" aria-label="Backtest"></select>{buttons}<span id="replay-result"></span></div>'
        f'<div id="replay-chart" class="plot" style="height:{CHART_HEIGHT}px"></div><script>{_SCRIPT}</script>'
    )


SECTION = Section(80, "replay", "Any session", _html)
