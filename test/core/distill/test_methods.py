"""Every method: it teaches every kind of student, leaves the frozen alone, and says nothing to a perfect student."""
import pytest
import torch
from distill_bench import Bench, batch_of, imitated, leaves

from mapkd_core.distill.methods import METHODS
from mapkd_core.losses import weigh

CONSTANT_GRADIENT_FREE = {"response", "response_teacher", "response_coach", "hallucination", "direction"}
"""Cross entropies: at equality they are the teacher's own entropy, and their gradient is zero."""
MAY_BE_EMPTY = {"hallucination", "background"}
"""Means over cells that an untrained student's claims may leave none of."""
SILENT = {
    "kd_logit": {"response"},
    "kd_mse": {"feature"},
    "mapkd": {"attention_teacher", "feature_teacher", "response_teacher", "attention_coach", "feature_coach",
              "response_coach"},
    "mapkd_code": {"attention_teacher", "feature_teacher", "response_teacher"},
    "mapkd_final": {"response_teacher", "response_coach"},
    "mapkd_token": {"patches_teacher", "patches_coach", "response_teacher", "response_coach"},
    "mapkd_coach": {"attention_teacher", "feature_teacher", "response_teacher"},
    "predictable": {"attention", "feature", "response"},
    "line_space": {"response", "hallucination"},
    "ours": {"attention", "feature", "response", "hallucination"},
    "balanced": {"lines", "background"},
    "pyramid": {"overlap"},
    "unidistill": {"feature", "relation", "direction"},
    "bevdistill": {"dense"},
    "tigbev": {"points", "channels"},
    "mapdistill": {"high", "response", "direction"},
    "x3kd": {"feature"},
    "dualdistill": set(),
    "distillbev": set(),
    "bridgeta": set(),
    "labeldistill": set(),
    "none": set(),
}
"""Terms that a perfect student must not feel. The others compare through layers that start at random, or have labels
as targets; they have tests of their own."""


@pytest.fixture(scope="module")
def benches():
    torch.set_num_threads(1)
    return {name: Bench(name) for name in ("student", "mapkd_student")}


@pytest.fixture(scope="module")
def same():
    return Bench("pmapnet_cl_sd")  # the teacher's own network: every feature has the same shape


@pytest.fixture(scope="module")
def batches():
    return {True: batch_of(), False: batch_of(with_lines=False)}


@pytest.mark.parametrize("student", ["student", "mapkd_student"])
@pytest.mark.parametrize("name", METHODS)
def test_it_teaches_the_student_and_nobody_else(name, student, benches, batches):
    bench = benches[student]
    roles = (bench.teacher, bench.coach)
    before = [{k: v.clone() for k, v in role.state_dict().items()} for role in roles]
    method = bench.method(name, **({"encoder_steps": 0} if name == "labeldistill" else {})).train()
    bench.student.zero_grad()
    terms, weights = method.terms(bench.step(batches[True])), method.weights()
    assert set(terms) <= set(weights), "a term without a weight cannot be summed"
    assert set(terms) | {"direction"} >= {k for k, w in weights.items() if w}, "a weight without a term does nothing"
    if name == "none":
        assert terms == {}
        return
    assert all(torch.isfinite(term) for term in terms.values())
    assert all(term.item() > 0 for name, term in terms.items() if name not in MAY_BE_EMPTY), terms
    weigh(terms, weights).backward()
    first = next(bench.student.parameters())  # of the image's trunk: everything behind it feels the loss too
    assert first.grad is not None and first.grad.abs().sum() > 0, "the student feels nothing"
    idle = [n for n, p in method.named_parameters() if p.grad is None]
    assert idle == [], "train-only parameters that no term reaches"
    for role, old in zip(roles, before, strict=True):
        assert all(p.grad is None for p in role.parameters()) and not any(m.training for m in role.modules())
        assert all(torch.equal(v, old[k]) for k, v in role.state_dict().items())
    theirs = {id(p) for role in (*roles, bench.student) for p in role.parameters()}
    assert not theirs & {id(p) for p in method.parameters()}, "a frozen network would be trained and saved"


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_without_lines_gives_finite_terms(name, benches, batches):
    bench = benches["student"]
    terms = bench.method(name).train().terms(bench.step(batches[False]))
    assert all(torch.isfinite(term) for term in terms.values()), {k: float(v) for k, v in terms.items()}
    if terms:
        weigh(terms, METHODS[name].weights(bench.method(name))).backward()
        assert all(torch.isfinite(p.grad).all() for p in bench.student.parameters() if p.grad is not None)
        bench.student.zero_grad()


def test_every_method_says_what_a_perfect_student_feels():
    assert set(SILENT) == set(METHODS)


@pytest.mark.parametrize("name", [name for name, terms in SILENT.items() if terms])
def test_a_perfect_student_feels_nothing(name, same, batches):
    bench, step = same, imitated(same.step(batches[True]))
    options = {"teacher_temperature": 1.0} if name == "unidistill" else {}
    method = bench.method(name, **options).train()
    terms = method.terms(step)
    assert SILENT[name] <= set(terms)
    for term in SILENT[name]:
        grads = torch.autograd.grad(terms[term], leaves(step.student), retain_graph=True, allow_unused=True)
        largest = max((float(g.abs().max()) for g in grads if g is not None), default=0.0)
        assert largest < 1e-5, f"{term}: gradient {largest}"  # rounding of float32
        if term not in CONSTANT_GRADIENT_FREE:
            assert terms[term].item() < 1e-6, f"{term}: {terms[term].item()}"


def test_unknown_names_get_suggestions(benches):
    with pytest.raises(ValueError, match="did you mean 'bridgeta'"):
        benches["student"].method("bridge_ta")
    with pytest.raises(ValueError, match="unknown key 'respnse_weight', did you mean 'response_weight'"):
        benches["student"].method("kd_logit", respnse_weight=1.0)


@pytest.mark.parametrize("name", ["mapkd", "predictable"])
def test_a_missing_coach_is_said_at_once(name):
    with pytest.raises(ValueError, match="needs a coach and there is none"):
        Bench(coach=None).method(name)
