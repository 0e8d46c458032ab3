# frozen_string_literal: true

# What of this cookbook also runs outside of Chef.
module DesiredState
  # Paths of the library files that need nothing of Chef.
  def self.library_files
    Dir[File.join(__dir__, '*.rb')].reject { |path| %w(dsl.rb library_files.rb).include?(File.basename(path)) }.sort
  end
end
