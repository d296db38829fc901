import json
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from headway.sandbox.answers import equate

integers = st.integers(-(10**30), 10**30)
fractions = st.fractions(max_denominator=10**6)
decimals = st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9), max_value=10**9)
numbers = st.one_of(integers.map(str), decimals.map(str), fractions.map(str))
tuples = st.lists(numbers, min_size=2, max_size=4).map(lambda items: f"({', '.join(items)})")
sets = st.lists(numbers, min_size=1, max_size=4).map(lambda items: rf"\{{{', '.join(items)}\}}")
intervals = st.builds("{}{}, {}{}".format, st.sampled_from("(["), numbers, numbers, st.sampled_from(")]"))
units = st.builds("{} {}".format, numbers, st.sampled_from(["cm", "m", "kg", "%", r"\text{apples}", "°"]))
answers = st.one_of(numbers, tuples, sets, intervals, units)
mathematical = st.text(st.sampled_from(list("0123456789.,;:=+-*/^_(){}[]|<>%$° xyiemπ²½√\\")), max_size=60)
texts = st.one_of(st.text(max_size=60), mathematical, answers)


def in_latex(value: Fraction) -> str:
    return rf"\frac{{{value.numerator}}}{{{value.denominator}}}"


@given(fractions)
def test_fraction_equals_itself_in_latex(value):
    assert equate(in_latex(value), str(value)) is True


@given(integers)
def test_thousands_separators_do_not_matter(value):
    assert equate(f"{value:,}", str(value)) is True
    assert equate(f"{value:,}".replace(",", "{,}"), f"{value:,}".replace(",", r"\,")) is True


@given(decimals, decimals)
def test_decimals_are_equal_exactly_if_their_values_are(one, other):
    assert equate(str(one), str(other)) is (one == other)
    assert equate(str(one), in_latex(Fraction(other))) is (one == other)


@given(st.fractions(min_value=1, max_denominator=999))
def test_mixed_number_equals_its_fraction(value):
    whole, rest = divmod(value, 1)
    if rest:
        assert equate(f"{whole}{in_latex(rest)}", str(value)) is True


@given(st.integers(1, 9999), st.integers(-50, 50))
def test_scientific_notation_is_exact(mantissa, exponent):
    assert equate(rf"{mantissa} \times 10^{{{exponent}}}", f"{mantissa}e{exponent}") is True
    assert equate(f"{mantissa}e{exponent}", str(mantissa * Fraction(10) ** exponent)) is True


@given(st.lists(integers, min_size=2, max_size=6, unique=True), st.randoms())
def test_order_matters_to_tuples_alone(values, random):
    shuffled = random.sample(values, len(values))
    for opening, closing, right in (("(", ")", values == shuffled), (r"\{", r"\}", True), ("", "", True)):
        texts = [opening + ", ".join(map(str, order)) + closing for order in (shuffled, values)]
        assert equate(*texts) is right


@given(st.lists(integers, min_size=2, max_size=6, unique=True))
def test_list_with_one_more_candidate_is_wrong(values):
    for text in (", ".join(map(str, values)), " or ".join(map(str, values))):
        assert equate(text, str(values[0])) is False


@given(answers)
def test_answer_equals_itself(answer):
    assert equate(answer, answer) is True
    assert equate(f"${answer}$", f" {answer}.") is True


@given(answers, answers)
def test_equality_is_symmetric(one, other):
    assert (equate(one, other) is True) == (equate(other, one) is True)


@given(texts, texts)
def test_no_text_raises_and_every_formula_can_be_sent(answer, truth):
    formula = equate(answer, truth)
    assert isinstance(formula, bool | list)
    assert json.loads(json.dumps(formula)) == formula
