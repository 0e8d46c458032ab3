# frozen_string_literal: true

# The part of this cookbook that also runs outside Chef.
module DesiredState
  # Paths of the library files that do not need Chef.
  def self.library_files
    Dir[File.join(__dir__, '*.rb')].reject { |path| %w(dsl.rb library_files.rb).include?(File.basename(path)) }.sort
  end
end
