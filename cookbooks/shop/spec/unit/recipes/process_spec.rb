# frozen_string_literal: true

require_relative '../recipe_helper'

# What runs a tier's process.
RSpec.describe 'shop::web' do
  include_context 'with a shared data view'

  subject(:chef_run) { runner.converge('shop::web') }

  let(:steps) { %w(shop_tier shop_process) }
  let(:unit) { 'shop-web.service' }

  context 'with systemd' do
    it 'is a unit that is started now but not at boot, since the tier may have been turned off meanwhile' do
      declare('web', 'converged')
      expect(chef_run).to create_systemd_unit(unit)
      expect(chef_run).to disable_systemd_unit(unit)
      expect(chef_run).not_to enable_systemd_unit(unit)
      expect(chef_run.systemd_unit(unit).content).not_to include(:Install)
      expect(chef_run).to start_systemd_unit(unit)
      expect(chef_run.systemd_unit(unit).content.dig(:Service, :ExecStart)).to end_with(
        ' /srv/shop/web/serve.rb /srv/shop/web/config.json'
      )
    end

    it 'is a unit that is stopped' do
      declare('web', 'off')
      expect(chef_run).to stop_systemd_unit(unit)
      expect(chef_run).to disable_systemd_unit(unit)
    end
  end

  context 'without systemd' do
    let(:supervisor) { 'process' }
    let(:child) { instance_double('Shop::Child', start: nil, stop: nil, running?: is_running) }
    let(:is_running) { false }

    before do
      require_relative '../../../libraries/child'
      allow(Shop::Child).to receive(:new).and_return(child)
    end

    it 'is a child that is started' do
      declare('web', 'converged')
      expect(chef_run).not_to create_systemd_unit(unit)
      expect(child).to have_received(:start)
    end

    it 'is left alone when it does not run' do
      declare('web', 'off')
      chef_run
      expect(child).not_to have_received(:stop)
    end

    context 'when it runs' do
      let(:is_running) { true }

      it 'is left alone' do
        declare('web', 'converged')
        chef_run
        expect(child).not_to have_received(:start)
      end

      it 'is stopped' do
        declare('web', 'off')
        chef_run
        expect(child).to have_received(:stop)
      end
    end
  end
end
