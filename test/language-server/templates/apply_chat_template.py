"""Renders chat templates with transformers. stdin: {"template", "conversations", "variables", "generation"}; stdout: JSON."""

import json
import sys

from transformers.utils.chat_template_utils import render_jinja_template

request = json.load(sys.stdin)
answers = []
for case in request:
    for messages in case["conversations"]:
        try:
            texts, spans = render_jinja_template(
                conversations=[messages],
                tools=case.get("tools"),
                chat_template=case["template"],
                return_assistant_tokens_mask=case["generation"],
                add_generation_prompt=case["prompt"],
                **case["variables"],
            )
            answers.append({"text": texts[0], "spans": spans[0] if spans else []})
        except Exception as error:  # the template's own refusals are answers too
            answers.append({"error": str(error)})
json.dump(answers, sys.stdout, ensure_ascii=True)
