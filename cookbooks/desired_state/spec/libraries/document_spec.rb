# frozen_string_literal: true

RSpec.describe DesiredState::Document do
  def parse(text)
    described_class.parse('the/key', text)
  end

  def refusal_of(text)
    parse(text)
    nil
  rescue DesiredState::MalformedDocument => e
    e
  end

  it 'ignores unknown fields' do
    expect(parse('{"schema": 1, "later": {"a": [1]}}').integer('schema')).to eq(1)
  end

  it "reads non-ASCII text from Consul's bytes" do
    expect(parse('{"schema": 1, "text": "größer ✓"}'.b).text('text')).to eq('größer ✓')
  end

  it "accepts a slash and all of JSON's escapes in strings" do
    text = parse('{"schema": 1, "text": "a/b \" \\\\ \/ \b\f\n\r\t \u00e9 \uD83D\ude00 // /* */"}').text('text')
    expect(text).to eq("a/b \" \\ / \b\f\n\r\t é 😀 // /* */")
  end

  {
    'nothing' => '',
    'nil' => nil,
    'invalid UTF-8' => "{\"schema\": 1, \"a\": \"\xff\"}",
    'a comment' => '{"schema": 1 /* one */}',
    'a comment to the end of a line' => "{\"schema\": 1} // one\n",
    'an escape that JSON does not know' => '{"schema": 1, "a": "\q"}',
    'the first half of a surrogate pair' => '{"schema": 1, "a": "\ud83dx"}',
    'the second half of a surrogate pair' => '{"schema": 1, "a": "\uDE00"}',
    'an escape outside of a string' => '{"schema": 1, \u0022a": 1}',
    'nesting without end' => '[' * 100_000,
    'objects and lists 65 deep' => "{\"schema\": 1, \"a\": #{'[' * 64}#{']' * 64}}",
    'an integer of more than 64 bits' => '{"schema": 1, "a": [{"b": 9223372036854775808}]}',
    'a negative one' => '{"schema": 1, "a": -9223372036854775809}',
    'NaN' => '{"schema": 1, "a": NaN}',
    'a comma too many' => '{"schema": 1,}',
    'a tab in a string' => "{\"schema\": 1, \"a\": \"\t\"}",
  }.each do |what, text|
    it "refuses #{what} as not JSON" do
      expect(refusal_of(text)).to have_attributes(key: 'the/key', problem: a_string_starting_with('not JSON ('))
    end
  end

  it 'accepts objects and lists 64 deep, and integers of 64 bits' do
    expect(parse("{\"schema\": 1, \"a\": #{'[' * 63}#{']' * 63}}").integer('schema')).to eq(1)
    [9_223_372_036_854_775_807, -9_223_372_036_854_775_808].each do |value|
      expect(parse("{\"schema\": 1, \"a\": #{value}}").integer('a', minimum: -2**63)).to eq(value)
    end
  end

  {
    'quotes and unknown escapes' => '"\q',
    'quotes that are escaped, in a string without an end' => '\"',
    'pairs of surrogates, in a string without an end' => '\ud83d\ude00"',
    'slashes' => '/',
    'strings' => '"",',
  }.each do |what, part|
    it "refuses #{what} in linear time" do
      time = lambda do |count|
        text = "\"#{part * count}"
        Array.new(5) do
          began = Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID)
          refusal_of(text)
          Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID) - began
        end.min
      end
      time.call(2000)
      expect(time.call(16_000) / time.call(2000)).to be < 32 # linear would be 8, quadratic 64
    end
  end

  it 'shows an infinite number' do
    expect(refusal_of('{"schema": 1e999}').problem).to eq('field schema must be an integer, not Infinity')
  end

  it 'shows only the start of a long value' do
    expect(refusal_of(JSON.generate('x' * 1000)).problem).to eq("must be a JSON object, not \"#{'x' * 79}")
  end

  it 'names a field by its path' do
    child = parse('{"schema": 1, "a": {"b": {"c": 1}}}').child('a').child('b')
    expect { child.text('c') }.to raise_error(DesiredState::MalformedDocument, 'the/key: field a.b.c must be a string, not 1')
  end

  it 'holds integers to their bounds' do
    document = parse('{"schema": 1, "n": 5}')
    expect(document.integer('n', minimum: 5, maximum: 5)).to eq(5)
    expect { document.integer('n', minimum: 6) }.to raise_error(/must be at least 6, not 5/)
    expect { document.integer('n', maximum: 4) }.to raise_error(/must be from 0 to 4, not 5/)
  end
end
