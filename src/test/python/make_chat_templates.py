"""Renders chat templates of common forms with Hugging Face's transformers: python make_chat_templates.py OUTPUT.json

Needs transformers 4.49 and jinja2. Written for src/test/resources/data/chat_templates.json.
"""
import json
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

TEMPLATES = {
    "marks": "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "system inside the first turn": "{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}"
    "{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for m in rest %}"
    "{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
    "{% if loop.index0 == 0 and system != false %}{% set content = '<<' + system + '>>\n\n' + m['content'] %}{% else %}{% set content = m['content'] %}{% endif %}"
    "{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "filters": "{% for m in messages %}{% set content = '<|' + m['role'] + '|>\n\n' + m['content'] | trim + '<|eot|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}{{ messages | length }}{{ 'a' ~ 1 }}",
    "lines of blocks": "{% for m in messages %}\n    {% if m.role == 'user' %}\n{{ 'U: ' + m.content + eos_token }}\n    {% elif m.role == 'assistant' %}\n"
    "{{ 'A: ' + m.content }}\n    {% endif %}\n{% if loop.last and add_generation_prompt %}\n{{ 'A:' }}\n{% endif %}\n{% endfor %}\n",
    "stripped whitespace": "{%- set ns = namespace(users=0) -%}\n{%- for m in messages -%}\n    {%- if m.role == 'user' -%}\n        {%- set ns.users = ns.users + 1 -%}\n"
    "    {%- endif -%}\n{%- endfor -%}\n{{ ns.users }} of {{ messages | length }}:\n{%- for m in messages[::-1] %} {{ m.role }}{% if not loop.last %},{% endif %}{%- endfor %}",
    "strings": "{{ messages[1].content.strip().split(' ')[-1] }}|{{ 'a.b.c'.split('.')[1] }}|{{ 'xaxa'.replace('a', '[') }}|{{ ', '.join(['a', 'b']) }}|{{ 'q\n'.rstrip() }}|"
    "{{ messages[-1]['content'].lstrip('B') }}|{% if messages[0].content.endswith('Do') and 'Hi' in messages[1].content and not messages[1].content.startswith('x') %}yes{% endif %}|"
    "{{ 'one two'.title() }}|{{ 'aXbXc'.split('X', 1) | length }}|{{ 'ab'.upper() }}|{{ 'abca'.count('a') }}{{ 'abc'.find('c') }}",
    "macro": "{% macro turn(m) %}[{{ m.role }}] {{ m['content'] | upper }}{% endmacro %}{% for m in messages %}{{ turn(m) }}\n{% endfor %}{{ messages[0].get('name', 'nobody') }}",
    "tools": "{%- if tools %}\n    {{- 'tools' }}\n{%- endif %}\n{%- for message in messages %}\n    {%- if (message.role == \"user\") or (message.role == \"system\" and not loop.first)"
    " or (message.role == \"assistant\" and not message.tool_calls) %}\n        {{- message.role + ': ' + message.content + '\\n' }}\n    {%- endif %}\n{%- endfor %}",
}
LONG = [("system", "Be  kind.\nDo"), ("user", " Hi thére <b> {{ x }} {% raw %} "), ("assistant", "Hello"), ("user", "Bye now")]

cases = []
for name, template in TEMPLATES.items():
    for turns in (LONG, LONG[:2]) if name != "system inside the first turn" else (LONG, LONG[1:2]):
        messages = [{"role": role, "content": content} for role, content in turns]
        text = _compile_jinja_template(template).render(messages=messages, bos_token="<s>", eos_token="</s>", add_generation_prompt=True, tools=None)
        cases.append({"name": name, "template": template, "messages": messages, "text": text})
with open(sys.argv[1], "w", encoding="utf8") as out:
    json.dump(cases, out, indent=1, ensure_ascii=False)
