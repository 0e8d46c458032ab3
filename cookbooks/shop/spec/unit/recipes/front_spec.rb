# frozen_string_literal: true

require_relative '../recipe_helper'

# Two tiers with the same states, on their own ports.
{ 'web' => 8080, 'app' => 8081 }.each do |tier, port|
  RSpec.describe "shop::#{tier}" do
    include_context 'with a shared data view'

    subject(:chef_run) { runner.converge("shop::#{tier}") }

    let(:config) { "/srv/shop/#{tier}/config.json" }

    context 'when the tier was never declared' do
      it 'is stopped, at generation 0' do
        expect(chef_run).to stop_shop_process(tier)
        expect(chef_run).not_to render_file(config)
        expect(reports["chefconsul/test/#{tier}/nodes/node-1"].last).to include(
          'generation' => 0, 'state' => 'off', 'source' => 'default'
        )
      end
    end

    context 'when off' do
      before { declare(tier, 'off', {}) }

      it 'is stopped, and keeps its files' do
        expect(chef_run).to stop_shop_tier(tier)
        expect(chef_run).to stop_shop_process(tier)
        expect(chef_run).not_to render_file(config)
      end

      it 'is reported' do
        chef_run
        expect(statuses(tier)).to start_with 'running'
        expect(reports["chefconsul/test/#{tier}/nodes/node-1"].last).to include('generation' => 7, 'state' => 'off')
      end
    end

    { 'waiting' => ['waiting', 503], 'converged' => ['serving', 200] }.each do |state, (mode, status)|
      context "when #{state}" do
        before { declare(tier, state) }

        it 'is configured with release and mode' do
          expect(chef_run).to run_shop_tier(tier).with(release: '2.5.0', mode: mode)
          expect(chef_run).to render_file(config).with_content { |text|
            expect(JSON.parse(text)).to eq('tier' => tier, 'release' => '2.5.0', 'mode' => mode, 'port' => port)
          }
        end

        it 'is started, and restarted at the end if it changed' do
          serve = chef_run.cookbook_file("/srv/shop/#{tier}/serve.rb")
          expect(chef_run).to start_shop_process(tier).with(command: end_with(serve.path, config))
          expect(serve).to notify("shop_process[#{tier}]").to(:restart).delayed
          expect(chef_run.file(config)).to notify("shop_process[#{tier}]").to(:restart).delayed
        end

        it "must answer #{status}" do
          expect(chef_run).to check_desired_state_ready("http://127.0.0.1:#{port}/").with(expect: [status])
        end

        it 'requires a release' do
          declare(tier, state, {})
          expect { chef_run }.to raise_error(KeyError, /release/)
        end
      end
    end

    context 'when in another state' do
      before { declare(tier, 'draining') }

      it 'fails, and lists the known states' do
        expect { chef_run }.to raise_error(/#{tier} is assigned state draining.*only for: off, waiting, converged/)
      end
    end
  end
end
