#!/usr/bin/env python3
"""Writes tests/hf/chat_templates.jsonl: templates, messages, and what transformers makes of them.

    python tools/fixtures_chat.py tests/hf/chat_templates.jsonl

One object a line: name, template, messages (absent: those of the first line, which holds nothing
else), bos_token and eos_token (absent: undefined), add_generation_prompt, and either expected (the text) or fails (true: transformers raises an error).
The templates are written for this test, in the manner of the model families they are named after.
"""

import json
import sys

from transformers.utils.chat_template_utils import _compile_jinja_template

U, A, S = "user", "assistant", "system"


def chat(*turns):
    return [{"role": role, "content": text} for role, text in turns]


PLAIN = chat((U, "Hello there"), (A, " Hi!\n"), (U, "What is 2 + 2?"))
LONG = chat((S, "Be brief. "), *PLAIN, (A, "Four."))
ODD = chat((A, "I begin"), (U, "it's \"quoted\" <b>&amp;</b> \\ caf\u00e9 \u6771\u4eac \U0001f600\t|"))

# ---- in the manner of model families ----

CHATML = """{%- for message in messages %}
    {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif -%}
"""

SMOL = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
You are a helpful assistant<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}"""

ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>
' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>
'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}"""

LLAMA3 = """{% set loop_messages = messages %}{% for message in loop_messages %}
{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>

' + message['content'] | trim + '<|eot_id|>' %}
{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}
{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>

' }}{% endif %}"""

LLAMA31 = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not tools_in_user_message is defined %}
    {%- set tools_in_user_message = true %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message comes first, in a slot of its own. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none and not tools_in_user_message %}
    {{- "Tools:\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("One tool call at a time, please") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
        {{- "<|eot_id|>" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("user and assistant must take turns") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("unknown role") }}
    {%- endif %}
{%- endfor %}
{{- user_messages | length }}
"""

MISTRAL_OLD = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Turns must alternate user/assistant/user/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are known!') }}{% endif %}{% endfor %}"
)

LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}\
{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}\
{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('order') }}{% endif %}\
{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}\
{% else %}{% set content = message['content'] %}{% endif %}\
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}\
{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role here') }}{% endif %}\
{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\
{{ raise_exception('Roles must alternate') }}{% endif %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}\
{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '
' + message['content'] | trim + '<end_of_turn>
' }}{% endfor %}{% if add_generation_prompt %}{{'<start_of_turn>model
'}}{% endif %}"""

GEMMA3 = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- set role = "model" if message['role'] == 'assistant' else message['role'] -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"""

QWEN = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
{%- else %}
    {%- if messages[0]['role'] == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {{- '<|im_start|>' + message.role }}
        {%- if message.content %}
            {{- '\\n' + message.content }}
        {%- endif %}
        {%- for tool_call in message.tool_calls %}
            {%- if tool_call.function is defined %}
                {%- set tool_call = tool_call.function %}
            {%- endif %}
            {{- '\\n<tool_call>\\n{"name": "' }}
            {{- tool_call.name }}
            {{- '", "arguments": ' }}
            {{- tool_call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == "tool" %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != "tool") %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' }}
        {{- message.content }}
        {{- '\\n</tool_response>' }}
        {%- if loop.last or (messages[loop.index0 + 1].role != "tool") %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""

THINKING = """{%- set ns = namespace(multi_step=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == "assistant" %}
        {%- set reasoning = '' %}
        {%- if '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last and (loop.last or (not loop.last and reasoning)) %}
            {{- '[' + message.role + ']<think>' + reasoning.strip('\\n') + '</think>' + content.lstrip('\\n') }}
        {%- else %}
            {{- '[' + message.role + ']' + content }}
        {%- endif %}
    {%- else %}
        {{- '[' + message.role + ']' + content }}
    {%- endif %}
{%- endfor %}"""

GENERATION = """{% for message in messages %}{% if message.role == 'assistant' %}\
A: {% generation %}{% set mine = message.content %}{{ mine }}{{ eos_token }}{% endgeneration %}
{% else %}U: {{ message.content }}{{ mine }}
{% endif %}{% endfor %}"""

MACROS = """{%- macro header(role, end='\\n') -%}
<{{ role }}>{{ end }}
{%- endmacro %}
{%- macro body(text) %}{% if text is string %}{{ text }}{% else %}{% for part in text %}{{ part.text }}{% endfor %}{% endif %}{% endmacro %}
{%- for m in messages -%}
{{ header(m.role) }}{{ body(m.content) }}{{ header(role='/' ~ m.role, end='') }}
{% endfor -%}"""

TOOLS = [
    {"role": U, "content": "weather?"},
    {
        "role": A,
        "content": "",
        "tool_calls": [{"type": "function", "function": {"name": "get", "arguments": {"city": "K\u00f6ln", "days": 3, "ok": True}}}],
    },
    {"role": "tool", "content": "{\"t\": 21.5}"},
    {"role": "tool", "content": "sunny"},
    {"role": A, "content": "21.5 and sunny"},
]
PARTS = [
    {"role": U, "content": [{"type": "image"}, {"type": "text", "text": " look "}]},
    {"role": A, "content": [{"type": "text", "text": "seen"}]},
]
THOUGHT = chat((U, "q"), (A, "<think>\nhm\n</think>\n\nfirst"), (U, "r"), (A, "<think>\nso\n</think>\n\nsecond"))

FAMILIES = {
    "chatml": (CHATML, [PLAIN, LONG, ODD]),
    "smollm": (SMOL, [PLAIN, LONG, ODD]),
    "zephyr": (ZEPHYR, [PLAIN, LONG, ODD]),
    "llama3": (LLAMA3, [PLAIN, LONG, ODD]),
    "llama31": (LLAMA31, [PLAIN, LONG, ODD, TOOLS]),
    "llama2": (LLAMA2, [PLAIN, LONG, ODD]),
    "mistral": (MISTRAL, [PLAIN, LONG, ODD]),
    "mistral_old": (MISTRAL_OLD, [PLAIN, LONG, ODD]),
    "gemma": (GEMMA, [PLAIN, LONG, ODD]),
    "gemma3": (GEMMA3, [PLAIN, LONG, PARTS]),
    "qwen": (QWEN, [PLAIN, LONG, ODD, TOOLS]),
    "thinking": (THINKING, [PLAIN, LONG, THOUGHT]),
    "generation": (GENERATION, [PLAIN, LONG]),
    "macros": (MACROS, [PLAIN, LONG, PARTS]),
}

# ---- the language, bit by bit; the messages are PLAIN unless said otherwise ----

WHITESPACE = [
    "a\n  {% if true %}\n  b\n  {% endif %}\n c",
    "a\n  {%+ if true %}\n  b\n  {%+ endif %}\n c",
    "a  {%- if true -%}  b  {%- endif -%}  c",
    "a\n{{ 1 }}\nb\n",
    "a\n{{ 1 -}}\n\n  b\n\n",
    "a  \n  {{- 1 }} b",
    "x{# note #}\ny\n   {# note #}\nz\n {#- a -#} \n w",
    "  {% if true %}x{% endif %}",
    "q  {% if true %}x{% endif %}\n",
    "a{% if true +%}\nb{% endif %}\n",
    "\t{% set x = 1 %}\t\n{{ x }}",
    "{% raw %}{{ not }} {% this %}{% endraw %}\nafter",
    " {%- raw -%}  {{ a }}  {%- endraw -%}  b",
    "{% raw %}\n x{% endraw %}",
    "line\r\n{% if true %}\r\nwin\r\n{% endif %}\r\nend\r\n",
    "{% for i in range(2) %}\n\n  {{ i }}\n\n{% endfor %}",
    "{#-#}a{#+ b +#}\nc",
    "{{ '}}' }}{{ {'a': {'b': 1}}['a']['b'] }}",
    "{{ '%}' }}{{ \"a\\nb\\t\\x41\\u00e9\\\\ \\' \\q\" }}",
    "a\n\n",
    "",
    "no tags { } % # {",
]

EXPRESSIONS = [
    "1 + 2 * 3 - 4 / 2", "7 // 2", "-7 // 2", "-7 % 3", "7 % -3", "2 ** 10", "2 ** 3 ** 2", "2 ** -1", "-2 ** 2",
    "7.5 // 2", "-7.5 % 2", "1 / 3", "1e16", "1e15", "123456789012345680.0", "0.1 + 0.2", "1.5e-7", "100.0", "1_000 + 0x1f + 0b101 + 0o17",
    "1 < 2 < 3", "1 < 3 < 2", "1 == 1.0", "true == 1", "'a' < 'b'", "[1, 2] < [1, 3]", "(1, 2) == (1, 2)", "[1] == (1,)", "none == false",
    "'a' ~ 1 ~ none ~ true ~ 1.5 ~ [1, 'x']", "'a' + 'b' * 3", "[1] + [2] * 2", "3 * 'ab'", "'x' * -1",
    "not true or true and false", "1 and 2", "0 or 'x'", "'' or none", "not 1 == 2", "1 if false else 2", "1 if true", "(1 if false) ~ 'x'",
    "'a' in 'cat'", "'role' in messages[0]", "1 in [1, 2]", "3 not in [1, 2]", "'x' in missing", "missing == other_missing", "missing == none",
    "[1, 2, 3][0]", "[1, 2, 3][-1]", "[1, 2, 3][9]", "'h\u00e9llo'[1]", "'h\u00e9llo'[-4:]", "'abcdef'[1:4]", "'abcdef'[::-1]", "'abcdef'[::2]",
    "'abcdef'[4:1:-1]", "[1, 2, 3, 4][1:]", "[1, 2, 3, 4][:-1]", "[1, 2, 3, 4][::-2]", "(1, 2, 3)[1:]", "[1, 2][5:]", "messages[-1:][0].content",
    "messages[0]['role']", "messages[0].role", "messages[0].nothing", "messages[0]['nothing'] is defined", "messages.0.role",
    "{'a': 1, 'b': [1, 2]}", "{'a': 1}.a", "{'items': 5}['items']", "{'x': 5}.items() | list", "{1: 'a', 1.0: 'b'}", "{'a': 1, 'a': 2}",
    "[]", "()", "(1,)", "{}", "[1, [2, ['x', none]], (3,)]", "'it\\'s'", "['it\\'s', 'say \"x\"', 'b\\'\"']", "['\\n\\t\\\\', '\u00e9\u6771', '\\x00\\x7f\\u200b']",
    "[true, false, none, 1.0, 2.5]", "[missing]", "{'k': missing}", "'a' 'b' \"c\"", "-1 | abs", "- 3 + 5", "+3", "--3", "1 - -1",
    "'  x '|trim|length", "(1, 2) + (3,)", "1 is number and 'a' is string", "missing", "'a' if missing else 'b'",
    "1 + true", "1.0 * 3", "3 == '3'", "5 // 2.0", "range(5) | list", "range(1, 10, 3) | list", "range(5, 0, -2) | list", "range(0) | list",
    "dict(a=1, b='x')", "dict({'a': 1}, b=2)", "[1, 2, 3,]", "(1)", "1, 2", "'abc' | first ~ 'abc' | last", "'a,b' .split(',')",
]

FILTERS = [
    "' x ' | trim", "'xxaxx' | trim('x')", "none | trim", "5 | trim", "missing | trim", "'h\u00e9' | length", "[1, 2] | count", "{'a': 1} | length", "missing | length",
    "'aBc' | upper ~ 'aBc' | lower", "'\u00e9\u00df\u0131' | upper", "'hello wORLD-foo (bar)' | title", "'hELLO wORLD' | capitalize",
    "messages | tojson", "messages[0] | tojson(indent=2)", "[] | tojson(indent=2)", "{} | tojson", "{'b': 1, 'a': [1.5, true, none]} | tojson(sort_keys=true)",
    "{'a': [1, {}]} | tojson(indent=4)", "[1, 2] | tojson(separators=(',', ':'))", "'<a & \"b\">\\n\\u2028\\x01' | tojson", "{1: 2, none: 3, true: 4} | tojson", "1e3 | tojson",
    "missing | default('d')", "missing | default", "'' | default('d')", "'' | default('d', true)", "none | d('x')", "0 | default(5, boolean=true)",
    "[1, 'a', none] | join(', ')", "[1, 2] | join", "'abc' | join('-')", "messages | join('|', attribute='role')", "missing | join(',')",
    "[1, 2] | first", "[] | first", "[1, 2] | last", "'abc' | list", "{'a': 1} | list", "{'a': 1, 'b': 2} | items | list", "missing | items | list",
    "messages | map(attribute='content') | list", "['a', 'b'] | map('upper') | join", "[{'a': {'b': 1}}, {'a': {}}] | map(attribute='a.b', default=0) | list",
    "['a b', 'c'] | map('replace', ' ', '_') | list", "messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list",
    "messages | rejectattr('role', 'eq', 'user') | list | length", "[{'a': 1}, {'b': 2}] | selectattr('a') | list", "[{'a': 1}, {'b': 2}] | selectattr('a', 'defined') | list",
    "[1, 2, 3, 4] | select('odd') | list", "[0, 1, '', 'x'] | select | list", "[1, none] | reject('none') | list", "[1, 5, 9] | select('gt', 4) | list",
    "'aXbXc' | replace('X', '-')", "'aaa' | replace('a', 'b', 2)", "'abc' | replace('', '.')", "1213 | replace(1, 'x')", "5 | string + '!'",
    "'12' | int + 1", "'12.9' | int", "'x' | int", "'x' | int(default=7)", "'ff' | int(0, 16)", "' 1_000 ' | int", "3.99 | int", "true | int", "none | int", "'2.5' | float", "'z' | float(1.5)", "7 | float",
    "'a\\nb\\n\\nc' | indent", "'a\\nb' | indent(2, true)", "'a\\n\\nb\\n' | indent(width='> ', blank=true)", "'' | indent", "'a\\r\\nb' | indent(1)",
    "'abc' | reverse", "[1, 2, 3] | reverse | list", "['b', 'A', 'a', 'B'] | unique | list", "['b', 'A', 'a'] | unique(true) | list", "messages | unique(attribute='role') | map(attribute='role') | list",
    "[3, 1, 2] | sort", "['b', 'A', 'c'] | sort", "['b', 'A', 'c'] | sort(case_sensitive=true)", "[3, 1, 2] | sort(reverse=true)", "messages | sort(attribute='role') | map(attribute='content') | list",
    "{'b': 1, 'a': 2} | dictsort", "{'b': 1, 'a': 2} | dictsort(by='value')", "[3, 1, 2] | min ~ [3, 1, 2] | max", "['b', 'A'] | min", "[1, 2, 3.5] | sum", "messages | map(attribute='content') | map('length') | sum",
    "-3 | abs", "'x' | safe", "[[1, 2], [3]] | sum(start=[])", "'a' | upper | lower | title", "('a' | upper) ~ 'b'", "false | map('upper') | list", "0 | selectattr('x') | list",
]

METHODS = [
    "' x '.strip() ~ '|'", "'xxaxyx'.strip('xy')", "'  a '.lstrip() ~ '|'", "'  a '.rstrip() ~ '|'", "'\\u00a0\\u3000a\\x1f'.strip()", "'abc'.startswith('ab')", "'abc'.startswith(('x', 'a'))", "'abc'.endswith('bc')",
    "'a,b,,c'.split(',')", "'a,b,c'.split(',', 1)", "' a  b c '.split()", "' a  b c  '.split(none, 1)", "'a'.split('x')", "''.split()", "''.split(',')", "'a<>b<>c'.split('<>')[-1]", "'a,b,c'.rsplit(',', 1)", "'a b'.rsplit()",
    "'aBc'.upper() ~ 'aBc'.lower()", "'hello wORLD it\\'s x2y'.title()", "'hELLO'.capitalize()", "'aXbX'.replace('X', '-')", "'aXbX'.replace('X', '-', 1)", "'ab'.replace('', '.')", "', '.join(['a', 'b'])", "'-'.join('abc')",
    "'h\u00e9llo'.find('l')", "'abc'.find('z')", "'abcabc'.rfind('b')", "'aaa'.count('a')", "'abab'.count('')", "'a\\nb\\r\\nc'.splitlines()", "'a\\nb\\n'.splitlines(true)", "'12'.isdigit()", "'ab1'.isalnum()", "'ab'.isalpha()", "' '.isspace()", "''.isdigit()",
    "'AB1'.isupper()", "'ab'.islower()", "'prefix-x'.removeprefix('prefix-')", "'x.py'.removesuffix('.py')", "'a=b=c'.partition('=')", "'a=b=c'.rpartition('=')", "'abc'.partition('=')", "'abc'.rpartition('=')",
    "{'a': 1}.items() | list", "{'a': 1}.keys() | list", "{'a': 1}.values() | list", "{'a': 1}.get('a')", "{'a': 1}.get('b')", "{'a': 1}.get('b', 'x')", "messages[0].get('role')", "[1, 2, 1].count(1)", "[1, 2].index(2)",
    "'a'.nothing", "messages[0].content.split(' ')[0].upper()", "'x'['upper']()",
]

TESTS = [
    "1 is odd", "2 is even", "9 is divisibleby 3", "9 is divisibleby(4)", "missing is defined", "missing is undefined", "missing is not defined", "none is none", "none is not none", "1 is boolean", "true is boolean",
    "true is true", "1 is true", "false is false", "1 is integer", "true is integer", "1.0 is float", "1 is number", "true is number", "'a' is string", "['a'] is string", "messages[0] is mapping", "[] is mapping",
    "'a' is iterable", "5 is iterable", "messages is iterable", "none is iterable", "missing is iterable", "'a' is sequence", "{} is sequence", "5 is sequence", "'abc' is lower", "'ABC' is upper", "'Abc' is lower",
    "1 is in [1, 2]", "1 is eq 1", "1 is equalto(2)", "1 is ne 2", "1 is lt 2", "2 is greaterthan 1", "2 is ge 2", "1 is le 0", "'a' is sameas 'a'", "range is callable", "1 is callable", "1 is defined and 2 is defined",
    "not 1 is odd", "(1 is odd) == true", "'x' is string or false", "messages[0].content is string", "messages[0].tool_calls is defined", "tools is none", "documents is none", "add_generation_prompt is defined", "custom is defined",
]

STATEMENTS = [
    "{% for m in messages %}{{ loop.index }}/{{ loop.length }} {{ loop.index0 }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.first }} {{ loop.last }} {{ loop.depth }};{% endfor %}",
    "{% for m in messages %}{{ loop.previtem.role if loop.previtem is defined }}>{{ m.role }}>{{ loop.nextitem.role if not loop.last }};{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ loop.length }}{{ m.content }}{% else %}none{% endfor %}",
    "{% for m in messages if m.role == 'nobody' %}{{ m }}{% else %}none{% endfor %}",
    "{% for x in [] %}a{% else %}empty{% endfor %}{% for x in missing %}a{% else %}undefined{% endfor %}",
    "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }},{% endfor %}",
    "{% for k, v in {'a': 1} | items %}{{ k }}={{ v }},{% endfor %}{% for (a, b) in [(1, 2), [3, 4]] %}{{ a + b }};{% endfor %}",
    "{% for k in {'a': 1, 'b': 2} %}{{ k }}{% endfor %}{% for c in 'h\u00e9' %}[{{ c }}]{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}!",
    "{% for i in range(3) %}{% for j in range(3) %}{% if j == 1 %}{% break %}{% endif %}{{ i }}{{ j }}{{ loop.depth }} {% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop.cycle('a', 'b') }} {% endfor %}",
    "{% set x = 1 %}{% for i in range(2) %}{% set x = x + i + 1 %}{{ x }}{% endfor %}{{ x }}",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}",
    "{% set ns = namespace(n=0, s='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.s = ns.s ~ m.role[0] %}{% endfor %}{{ ns.n }}{{ ns.s }}{{ ns.other is defined }}",
    "{% set ns = namespace({'a': 1}) %}{{ ns.a }}{{ ns['a'] }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d) = [3, 4] %}{{ c + d }}",
    "{% set x %}  block {{ 1 + 1 }} {% endset %}[{{ x }}]{% set y | trim | upper %} shout {% endset %}[{{ y }}]",
    "{% macro m(a, b=2, c='x') %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(1, c='z') }}{{ m(b=5, a=4) }}{{ m() }}{{ m.name }}",
    "{% macro outer() %}<{{ inner('q') }}>{% endmacro %}{% macro inner(x) %}{{ x }}{% endmacro %}{{ outer() }}",
    "{% set g = 'global' %}{% macro m() %}{{ g }}{% set g = 'local' %}{% endmacro %}{{ m() }}{{ g }}",
    "{% macro fact(n) %}{{ 1 if n <= 1 else n * (fact(n - 1) | int) }}{% endmacro %}{{ fact(6) }}",
    "{% macro v() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ v(1, 2, a=3) }}",
    "{% macro d(a, b=a * 2) %}{{ a }}{{ b }}{% endmacro %}{{ d(2) }}",
    "{% macro box(t) %}[{{ t }}:{{ caller() }}]{% endmacro %}{% call box('x') %}in {{ messages[0].role }}{% endcall %}",
    "{% macro each(l) %}{% for i in l %}{{ caller(i, loop.index) }}{% endfor %}{% endmacro %}{% call(a, n) each(['p', 'q']) %}{{ n }}{{ a }} {% endcall %}",
    "{% filter upper %}abc {{ 'd' }}{% endfilter %}{% filter replace('a', 'b') | trim %} aaa {% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}",
    "{% if false %}a{% elif 0 %}b{% elif 'x' %}c{% else %}d{% endif %}{% if missing %}a{% else %}e{% endif %}",
    "{% if messages[0].role == 'user' and messages | length > 2 %}yes{% endif %}",
    "{% generation %}in{% endgeneration %}",
    "{{ bos_token }}{{ eos_token }}{{ add_generation_prompt }}{{ tools }}{{ documents }}",
    "{% set messages = messages[1:] %}{% for m in messages %}{{ m.role }}{% endfor %}",
    "{% for m in messages %}{% if loop.first %}{% set shown = m.role %}{% endif %}{{ shown }};{% endfor %}",
    "{% for m in messages | reverse %}{{ m.role }} {% endfor %}{% for m in messages[::-1] %}{{ loop.index }}{% endfor %}",
    "{% for x in [1, 2, 3] %}{{ x }}{{ ', ' if not loop.last else '.' }}{% endfor %}",
    "{% set d = {} %}{% set d = dict(d, a=1) %}{{ d }}{% for x in (1, 2) %}{{ x }}{% endfor %}{% for x in 1, 2 %}{{ x }}{% endfor %}",
    "{{ messages }}",
    "{{ [messages[0].role, messages[1]['content']] }}",
    "{% for m in messages %}{{ m.role }}{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}",
]

FAILURES = [
    "{{ missing.attr }}", "{{ missing.attr is defined }}", "{{ missing['x'] }}", "{{ missing() }}", "{{ missing + 1 }}", "{{ messages[0].a.b }}", "{{ 1 + 'a' }}", "{{ 'a' + 1 }}", "{{ none + 1 }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ 1 < 'a' }}",
    "{{ raise_exception('no') }}", "{% if true %}", "{% endif %}", "{% for x in %}{% endfor %}", "{{ 1 + }}", "{{ (1 }}", "{{ 'abc }}", "{{ a b }}", "{% unknown %}", "{{ 'a' | nosuchfilter }}", "{{ 1 is nosuchtest }}",
    "{{ nosuchfunction(1) }}", "{% for x in 5 %}{% endfor %}", "{% for a, b in [[1]] %}{% endfor %}", "{# open", "{{ range(1000000) }}", "{% set missing.x = 1 %}", "{% set messages.x = 1 %}", "{{ ''.join([1]) }}",
    "{{ 'a'.split('') }}", "{{ {[]: 1} }}", "{{ messages | tojson(nope=1) }}", "{{ 'x' | replace('a') }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=2) }}", "{{ messages.append(1) }}",
    "{{ [1].pop() }}", "{{ {'a': 1}.update({'b': 2}) }}", "{{ missing | tojson }}", "{{ -'a' }}", "{{ 1 in 5 }}", "{{ 1 in 'abc' }}", "{{ 'abc'[::0] }}", "{% raw %}x", "{{ [1, 'a'] | sort }}", "{{ [1, 2 }}", "{{ )  }}", "{{ 5 | length }}",
    "{{ 5() }}", "{% set true = 1 %}", "{{ 1 is odd is even }}", "{{ f(a=1, 2) }}", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{% for i in range(3) %}{% endif %}{% endfor %}", "{% if 1 %}{% endfor %}", "{{ }}", "{{ none | length }}", "{{ missing | dictsort }}", "{{ 5 | indent }}", "{{ missing | indent }}", "{{ missing[1:] }}", "{{ (messages | length)[1:] }}", "{{ true | map('upper') | list }}",
]


def case(name, template, messages=PLAIN, bos="<s>", eos="</s>", prompt=False):
    out = {"name": name, "template": template, "add_generation_prompt": prompt}
    if messages is not PLAIN:
        out["messages"] = messages
    tokens = {k: v for k, v in (("bos_token", bos), ("eos_token", eos)) if v is not None}
    out.update(tokens)
    try:
        compiled = _compile_jinja_template(template)
        out["expected"] = compiled.render(messages=messages, tools=None, documents=None, add_generation_prompt=prompt, **tokens)
    except Exception:
        out["fails"] = True
    return out


def cases():
    for name, (template, chats) in FAMILIES.items():
        for i, messages in enumerate(chats):
            for prompt in (False, True):
                yield case(f"{name}-{i}-{int(prompt)}", template, messages, prompt=prompt)
    yield case("llama3-no-bos", LLAMA3, bos=None)
    yield case("tokens", "{{ eos_token }}|{{ bos_token is defined }}", bos=None, eos=None)
    groups = {"whitespace": WHITESPACE, "statements": STATEMENTS, "failures": FAILURES}
    for name, wrapped in (("expressions", EXPRESSIONS), ("filters", FILTERS), ("methods", METHODS), ("tests", TESTS)):
        groups[name] = ["{{ " + e + " }}" for e in wrapped]
    for name, templates in groups.items():
        for i, template in enumerate(templates):
            yield case(f"{name}-{i}", template)


def main():
    made = list(cases())
    for c in made:
        group = c["name"].split("-")[0]
        # Families may refuse a chat, but of the rest only what is meant to fail may.
        if group not in FAMILIES and (group == "failures") != c.get("fails", False):
            sys.exit(f"{c['name']} {'fails' if c.get('fails') else 'works'}: {c['template']}")
    with open(sys.argv[1], "w", encoding="utf-8") as f:
        for line in [{"messages": PLAIN}, *made]:
            f.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(len(made), "cases")


if __name__ == "__main__":
    main()
