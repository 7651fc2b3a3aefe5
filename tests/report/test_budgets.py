"""What the report of a search over budgets begins with."""

from hf_lrsched.budgets import Branch, Budgets
from hf_lrsched.report.budgets import make_lead


def test_table_and_plot():
    branches = (Branch("1ep", 1000, 200, {"eval_f1": 0.5}, 9.25), Branch("2ep", 2000, 400, {"eval_f1": float("nan")}))
    budgets = Budgets("eval_f1", "max", branches, "hold()", 1e-4)
    lead = make_lead(budgets.to_data())
    assert lead.table.header == ["budget", "seed", "updates", "seconds", "F1"]
    assert lead.table.rows == [["1ep", "0", "1,000", "9.2", "0.5"], ["2ep", "0", "2,000", "0.0", "–"]]
    assert lead.table.note == budgets.recommendation
    assert lead.plot.startswith("data:image/png;base64,")
