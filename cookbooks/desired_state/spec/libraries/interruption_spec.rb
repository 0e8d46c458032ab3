# frozen_string_literal: true

require 'open3'
require 'rbconfig'

RSpec.describe DesiredState::Interruption do
  library = File.expand_path('../../libraries/interruption.rb', __dir__)

  # The output of a process that runs the script, with the example's own systemctl.
  define_method(:say) do |script, state: 'running'|
    File.write(File.join(directory, 'systemctl'), "#!/bin/sh\necho #{state}\nexit 1\n", perm: 0o755)
    path = state ? "#{directory}:#{ENV['PATH']}" : ENV['PATH']
    ruby = ['timeout', '--signal=KILL', '30', RbConfig.ruby, '--disable-gems'] # kills a script that waits in vain
    output, = Open3.capture2e({ 'PATH' => path }, *ruby, '-e', "require '#{library}'\n#{script}")
    output.strip
  end

  # As Chef sets them.
  traps = "trap('INT') { exit(2) }; trap('TERM') { puts('finishing') }"

  it 'tells SIGINT from other exits, and passes it on to Chef' do
    script = "#{traps}\nwatch = DesiredState::Interruption.watch\n" \
             "begin\n%s\nrescue SystemExit => e\nputs [e.status, watch.interrupted?(e)].inspect\nend"
    expect(say(format(script, "Process.kill('INT', $$); sleep"))).to eq('[2, true]')
    expect(say(format(script, 'exit(2)'))).to eq('[2, false]')
  end

  it 'ends at once on a SIGTERM while nothing has begun, and only then' do
    script = "#{traps}\nwatch = DesiredState::Interruption.watch\n" \
             "begin\nwatch.while_idle { Process.kill('TERM', $$); sleep }\nrescue SignalException => e\n" \
             "puts [e.message, watch.interrupted?(e)].inspect\nend\nProcess.kill('TERM', $$)\nsleep(0.1)"
    expect(say(script)).to eq(%(["SIGTERM", true]\nfinishing))
  end

  it 'remembers a SIGTERM that does not end Chef, for this run only' do
    expect(say(<<~RUBY)).to eq("finishing\ntrue\nfalse\nfinishing\ntrue")
      $stdout.sync = true
      2.times do
        #{traps}
        watch = DesiredState::Interruption.watch
        puts watch.interrupted?(RuntimeError.new('x')) if $is_second
        Process.kill('TERM', $$)
        sleep(0.01) until watch.interrupted?(RuntimeError.new('x'))
        puts true
        $is_second = true
      end
    RUBY
  end

  it 'behaves like Ruby if there was no handler, and keeps ignoring an ignored signal' do
    script = "watch = DesiredState::Interruption.watch\nbegin\nProcess.kill('%s', $$); sleep(0.2); puts 'ignored'\n" \
             "rescue SignalException => e\nputs [e.class, watch.interrupted?(e)].inspect\nend"
    expect(say(format(script, 'INT'))).to eq('[Interrupt, true]')
    expect(say(format(script, 'TERM'))).to eq('[SignalException, true]')
    expect(say("trap('TERM', 'IGNORE')\n#{format(script, 'TERM')}")).to eq('ignored')
    expect(say("trap('TERM', 'EXIT')\nat_exit { puts 'left' }\n#{format(script, 'TERM')}")).to eq('left')
  end

  it 'learns from systemd that the machine is shutting down' do
    script = "puts DesiredState::Interruption.new.interrupted?(RuntimeError.new('x'))"
    { 'stopping' => 'true', 'running' => 'false', 'degraded' => 'false', 'offline' => 'false' }.each do |state, said|
      expect([state, say(script, state: state)]).to eq([state, said])
    end
  end

  it 'works without systemd' do
    script = "ENV['PATH'] = '/nowhere'; puts DesiredState::Interruption.stopping?"
    expect(say(script, state: nil)).to eq('false')
  end
end
