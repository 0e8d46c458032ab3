# frozen_string_literal: true

require 'chefspec_helper'

RSpec.describe 'desired_state_ready' do
  platform 'debian', '11'
  step_into :desired_state_ready

  # Asks the peer of this example; the resource comes before others, as in a recipe.
  def converge(address, what = :check, **properties)
    chef_runner.converge_block do
      desired_state_ready address do
        timeout 0
        interval 0.01
        properties.each { |name, value| public_send(name, value) }
        action what
      end
      log('after it')
    end
  end

  # What the resource after it has done when the peer is asked.
  def looking_peer
    peer do
      @seen = chef_runner.find_resource(:log, 'after it')&.performed_actions.to_a.dup
      [200, '']
    end
  end

  it 'looks at the end of the run, not when its turn comes' do
    server = looking_peer
    converge(server.url)
    expect(server.requests.size).to eq(1)
    expect(@seen).to eq([:write])
  end

  it 'looks when its turn comes with check_now' do
    server = looking_peer
    converge(server.url, :check_now)
    expect(server.requests.size).to eq(1)
    expect(@seen).to eq([])
  end

  it 'fails the run when what the node serves does not answer as it should' do
    server = peer { [503, ''] }
    expect { converge(server.url) }.to raise_error(/was not ready within 0 s, at last: HTTP 503/)
  end

  [401, [400, 401], 400..499].each do |expected|
    it "is content with HTTP 401 when told to expect #{expected}" do
      server = peer { [401, ''] }
      converge(server.url, expect: expected)
      expect(server.requests.size).to eq(1)
    end
  end

  it 'is not content with HTTP 200 when told to expect 401' do
    server = peer { [200, ''] }
    expect { converge(server.url, expect: 401) }.to raise_error(/at last: HTTP 200/)
  end

  it 'refuses a URL that it cannot ask, before the end of the run' do
    expect { converge('ftp://web/') }.to raise_error(DesiredState::InvalidInput, %r{ftp://web/ is not of the form})
  end

  it 'never counts as a change' do
    server = peer { [200, ''] }
    expect(converge(server.url).find_resource(:desired_state_ready, server.url)).not_to be_updated
  end

  it 'asks nobody in a why-run' do
    server = peer { [503, ''] }
    chef_runner
    why_run = Chef::Config[:why_run]
    Chef::Config[:why_run] = true
    converge(server.url, :check_now)
    expect(server.requests).to be_empty
  ensure
    Chef::Config[:why_run] = why_run
  end
end
