# frozen_string_literal: true

require 'chefspec_helper'

RSpec.describe 'desired_state_ready' do
  platform 'debian', '12'
  step_into :desired_state_ready

  # Checks this example's peer; another resource follows, as in a recipe.
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

  # What the following resource has done by the time the peer gets the request.
  def looking_peer
    peer do
      @seen = chef_runner.find_resource(:log, 'after it')&.performed_actions.to_a.dup
      [200, '']
    end
  end

  it 'checks at the end of the run, not in its turn' do
    server = looking_peer
    converge(server.url)
    expect(server.requests.size).to eq(1)
    expect(@seen).to eq([:write])
  end

  it 'checks in its turn with check_now' do
    server = looking_peer
    converge(server.url, :check_now)
    expect(server.requests.size).to eq(1)
    expect(@seen).to eq([])
  end

  it 'fails the run if the service does not answer as expected' do
    server = peer { [503, ''] }
    expect { converge(server.url) }.to raise_error(/was not ready within 0 s; last problem: HTTP 503/)
  end

  [401, [400, 401], 400..499].each do |expected|
    it "accepts HTTP 401 with expect #{expected}" do
      server = peer { [401, ''] }
      converge(server.url, expect: expected)
      expect(server.requests.size).to eq(1)
    end
  end

  it 'does not accept HTTP 200 with expect 401' do
    server = peer { [200, ''] }
    expect { converge(server.url, expect: 401) }.to raise_error(/; last problem: HTTP 200/)
  end

  it 'refuses a URL that it cannot check, before the end of the run' do
    expect { converge('ftp://web/') }.to raise_error(DesiredState::InvalidInput, %r{ftp://web/ is invalid; expected http://})
  end

  it 'never counts as a change' do
    server = peer { [200, ''] }
    expect(converge(server.url).find_resource(:desired_state_ready, server.url)).not_to be_updated
  end

  it 'sends nothing in a why-run' do
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
