"""Answers carry their own truth: good ones have no defect, bad ones one that reading finds."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfade.sim.judge import JudgeSkill, compose_verdict, read_judge_prompt
from crossfade.sim.text import (
    Length,
    Quality,
    compose_answer,
    compose_json,
    count_tokens,
    find_defects,
    split_pieces,
    truncate,
)

PEOPLE = ("Ana", "Bo", "Chen")
VERBS = ("proposed", "confirmed", "postponed", "questioned", "approved")
TOPICS = (
    "the release of the mobile client",
    "the budget for the spring campaign",
    "the move to the new office",
)


def source(number: int) -> str:
    draw = random.Random(number)
    return "\n".join(
        f"{draw.choice(PEOPLE)} {draw.choice(VERBS)} {draw.choice(TOPICS)} (item {draw.randrange(100, 999)})."
        for _ in range(draw.randrange(4, 14))
    )


def answer(text: str, bad_rate: float, unfaithful_share: float = 0.5, model: str = "m", seed: int = 1) -> str:
    quality = Quality(bad_rate, unfaithful_share, shared_difficulty=0.5)
    return compose_answer(text, seed=seed, model=model, quality=quality, length=Length(100, 0.3))


@pytest.mark.parametrize("number", range(40))
def test_good_answers_have_no_defect_and_bad_ones_the_one_asked_for(number):
    text = source(number)

    assert find_defects(text, answer(text, 0.0)) == ()
    assert find_defects(text, answer(text, 1.0, unfaithful_share=1.0)) == ("unfaithful",)
    assert find_defects(text, answer(text, 1.0, unfaithful_share=0.0)) == ("missing_point",)


def test_the_share_of_bad_answers_is_the_models_bad_rate():
    bad = sum(bool(find_defects(source(n), answer(source(n), 0.2))) for n in range(800))

    assert 120 <= bad <= 200


def test_models_stumble_over_the_same_prompts_more_than_chance_would_have_it():
    fates = {
        model: [bool(find_defects(source(n), answer(source(n), 0.2, model=model))) for n in range(600)]
        for model in ("a", "b")
    }
    both = sum(x and y for x, y in zip(fates["a"], fates["b"], strict=True))

    assert both > 1.5 * 0.2 * 0.2 * 600


@given(st.text(max_size=400), st.integers(0, 9))
def test_any_prompt_has_one_answer_under_a_seed(text, seed):
    assert answer(text, 0.5, seed=seed) == answer(text, 0.5, seed=seed)
    assert answer(text, 0.5, seed=seed)


@given(st.text(max_size=300), st.integers(1, 9), st.integers(0, 50))
def test_pieces_join_to_the_text_and_cuts_keep_the_token_limit(text, each, limit):
    assert "".join(split_pieces(text, each)) == text
    assert count_tokens(truncate(text, limit)) <= limit


def judge_prompt(text: str, reply: str, ask: str = "Is it good") -> str:
    return (
        f'{ask}? Answer only with JSON {{"pass": true|false}}.\n\n## Source\n{text}\n\n## Answer\n{reply}\n'
    )


def verdicts(bad_rate: float, skill: JudgeSkill) -> list[bool]:
    found = []
    for number in range(600):
        text = source(number)
        judged = read_judge_prompt(judge_prompt(text, answer(text, bad_rate)))
        found.append(json.loads(compose_verdict(judged, skill, seed=3, model="judge"))["pass"])
    return found


def test_a_judge_passes_good_answers_at_its_sensitivity_and_fails_bad_ones_at_its_specificity():
    skill = JudgeSkill(sensitivity=0.9, specificity=0.8)

    assert 0.86 <= sum(verdicts(0.0, skill)) / 600 <= 0.94
    assert 0.75 <= 1 - sum(verdicts(1.0, skill)) / 600 <= 0.85


@pytest.mark.parametrize(
    "form",
    [
        'Faithful? JSON {{"pass": true|false}}\n<source>\n{source}\n</source>\n<answer>\n{answer}\n</answer>',
        'Reply {{"pass": true}} or {{"pass": false}}.\nSource:\n{source}\n\nAnswer:\n{answer}',
        'Rubric: faithfulness. JSON {{"pass": bool}}\n\n### Prompt\n{source}\n### Response\n{answer}',
    ],
)
def test_a_judge_finds_source_and_answer_in_the_usual_forms(form):
    text = source(1)
    reply = answer(text, 0.0)

    judged = read_judge_prompt(form.format(source=text, answer=reply))

    assert (judged.source.strip(), judged.answer.strip()) == (text, reply)


def test_a_judge_reads_a_source_given_as_chat_messages():
    text = source(2)
    messages = [{"role": "system", "content": "Summarise the channel."}, {"role": "user", "content": text}]

    in_json = read_judge_prompt(judge_prompt(json.dumps(messages), answer(text, 0.0)))
    labelled = read_judge_prompt(
        judge_prompt(f"system: Summarise the channel.\nuser: {text}", answer(text, 0.0))
    )

    for judged in (in_json, labelled):
        assert judged.source == f"Summarise the channel.\n{text}"
        assert find_defects(judged.source, judged.answer) == ()


def test_a_rubric_on_faithfulness_does_not_ask_for_coverage():
    judged = read_judge_prompt(judge_prompt("Ana paid 7 coins.", "Nothing.", "Is the answer faithful"))

    assert judged.rubric == {"unfaithful"}


def test_other_prompts_are_no_judge_prompts():
    assert read_judge_prompt("Recap this: Ana passed the exam.") is None


def test_json_answers_satisfy_the_schema_they_were_asked_for():
    schema = {
        "type": "object",
        "properties": {"recap": {"type": "string"}, "points": {"type": "array", "items": {"type": "string"}}},
    }

    document = json.loads(compose_json(schema, "One thing happened. Another thing happened."))

    assert document["recap"].startswith("One")
    assert len(document["points"]) == 2
