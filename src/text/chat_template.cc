#include "text/chat_template.h"

namespace corral::text {

const std::string_view kChatTemplate = R"jinja({{- bos_token }}
{%- macro body(content) -%}
  {%- if content is string -%}
    {{- content -}}
  {%- elif content -%}
    {%- for item in content -%}
      {%- if item.type == "image" or "image" in item -%}
        {{- "<|image|>" -}}
      {%- else -%}
        {{- item.text -}}
      {%- endif -%}
    {%- endfor -%}
  {%- endif -%}
{%- endmacro -%}
{%- macro call_text(call) -%}
  {%- set call = call.function if call.function is defined else call -%}
  {%- set first = (call.arguments.values() | list | first) if call.arguments is mapping else "" -%}
  {%- if call.name == "code_interpreter" and call.arguments is mapping -%}
    {{- first -}}
  {%- elif call.name in ["brave_search", "wolfram_alpha", "photogen"] and call.arguments is mapping -%}
    {{- call.name + '.call(query="' + first + '")' -}}
  {%- else -%}
    {{- '{"type": "function", "name": "' + call.name + '", "parameters": ' -}}
    {{- call.arguments if call.arguments is string else call.arguments | tojson -}}
    {{- "}" -}}
  {%- endif -%}
{%- endmacro -%}
{%- macro tool_list() -%}
  {{- "You can call these functions, described in JSON:\n" -}}
  {%- for tool in tools -%}
    {{- (tool.function if tool.function is defined else tool) | tojson -}}
    {{- "\n" -}}
  {%- endfor -%}
  {{- "To call functions, answer with nothing but the calls, in this form: " -}}
  {{- '{"type": "function", "name": NAME, "parameters": {PARAMETER: VALUE}}' -}}
{%- endmacro -%}
{%- if tools and (not messages or messages[0].role != "system") -%}
  {{- "<|header_start|>system<|header_end|>\n\n" + tool_list() + "<|eot|>" -}}
{%- endif -%}
{%- for message in messages -%}
  {%- set role = "ipython" if message.role == "tool" else message.role -%}
  {{- "<|header_start|>" + role + "<|header_end|>\n\n" -}}
  {{- body(message.content) -}}
  {%- if tools and loop.first and role == "system" -%}
    {{- "\n\n" + tool_list() -}}
  {%- endif -%}
  {%- if role == "user" and message.context -%}
    {{- "\n\n" + message.context -}}
  {%- endif -%}
  {%- if role == "assistant" and message.tool_calls -%}
    {%- for call in message.tool_calls -%}
      {{- call_text(call) -}}
    {%- endfor -%}
    {{- "<|eom|>" -}}
  {%- elif role == "ipython" or message.stop_reason == "end_of_message" -%}
    {{- "<|eom|>" -}}
  {%- else -%}
    {{- "<|eot|>" -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- "<|header_start|>assistant<|header_end|>\n\n" -}}
{%- endif -%}
)jinja";

}  // namespace corral::text
