from fpplm_core.data.notes import EXAMPLES, Notes


def test_notes_are_counted_by_kind_in_order_with_their_first_places():
    notes = Notes()
    for number in range(EXAMPLES + 5):
        notes.add("relations are not read", f"a:{number}", 2)
    notes.add("cut", "b:1")
    notes.add("nothing", "c:1", 0)
    assert notes.counts == {"relations are not read": 2 * (EXAMPLES + 5), "cut": 1}
    assert notes.places["relations are not read"] == [f"a:{number}" for number in range(EXAMPLES)]
    assert list(notes.lines()) == ["relations are not read: 50 (a:0, a:1, a:2, …)", "cut (b:1)"]
